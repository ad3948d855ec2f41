/* ticker: correct, but for a profiling timer: every 100 µs of CPU time a signal whose
 * handler makes a system call, getppid. Each malloc makes getuid, a thousand times. */
#include "arena.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
  (void)signal;
  ticks++;
  syscall(SYS_getppid);
}

static int ticker_init(const struct allocphase_config *config) {
  struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
  struct itimerval every = {{0, 100}, {0, 100}};
  sigaction(SIGPROF, &action, NULL);
  setitimer(ITIMER_PROF, &every, NULL);
  return arena_init(config);
}

static void ticker_fini(void) {
  setitimer(ITIMER_PROF, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
  signal(SIGPROF, SIG_DFL);
  arena_fini();
}

static void *ticker_malloc(size_t size) {
  for (int i = 0; i < 1000; i++) syscall(SYS_getuid);
  return arena_malloc(size);
}

static void ticker_stats(allocphase_stat_sink *sink, void *context) {
  sink(context, "ticks", (double)ticks);
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = ticker_init,
    .fini = ticker_fini,
    .malloc = ticker_malloc,
    .free = arena_free,
    .stats = ticker_stats,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
