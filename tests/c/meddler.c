/* meddler: in each malloc, does something that an observer must survive (`does`),
 * then calls getpid once; each free calls getppid once.
 *
 *   mask       blocks every signal
 *   handler    installs a handler of its own for SIGSYS
 *   dispatch   switches Syscall User Dispatch off
 *   thread     starts a thread, which calls getuid, and waits for it
 *   fork       starts a process and waits for it */
#include "arena.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SET_DISPATCH 59 /* PR_SET_SYSCALL_USER_DISPATCH */

static void meddle_mask(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static void meddle_handler(void) { signal(SIGSYS, SIG_DFL); }

static void meddle_dispatch(void) { prctl(SET_DISPATCH, 0, 0, 0, 0); }

static void *thread_main(void *argument) {
  syscall(SYS_getuid);
  return argument;
}

static void meddle_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, thread_main, NULL) != 0) abort();
  pthread_join(thread, NULL);
}

static void meddle_fork(void) {
  pid_t child = fork();
  if (child == 0) _exit(7);
  int status = 0;
  if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7) abort();
}

static const struct {
  const char *name;
  void (*meddle)(void);
} ways[] = {
    {"mask", meddle_mask},     {"handler", meddle_handler}, {"dispatch", meddle_dispatch},
    {"thread", meddle_thread}, {"fork", meddle_fork},
};

static void (*meddle)(void);

static int meddler_init(const struct allocphase_config *config) {
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
    if (strcmp(ways[i].name, text_of(config, "does")) == 0) meddle = ways[i].meddle;
  return meddle ? arena_init(config) : EINVAL;
}

static void *meddler_malloc(size_t size) {
  meddle();
  syscall(SYS_getpid);
  return arena_malloc(size);
}

static void meddler_free(void *block) {
  (void)block;
  syscall(SYS_getppid);
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = meddler_init,
    .fini = arena_fini,
    .malloc = meddler_malloc,
    .free = meddler_free,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
