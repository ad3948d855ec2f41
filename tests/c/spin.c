/* spin: malloc takes at least `malloc_ns`, free at least `free_ns`, and the malloc
 * of a size above 1,000 bytes ten times as long. It makes no system call and sleeps
 * only when asked to, `sleep_ns` in each malloc. LOCKED: it does not say that it is
 * thread-safe; MUTEX: it is, by a mutex of its own. CPU_TIME: what others take of its CPU does not count; reading that
 * clock is a system call. */
#include "arena.h"

#include <pthread.h>
#include <time.h>

#ifdef CPU_TIME
#define CLOCK CLOCK_THREAD_CPUTIME_ID
#else
#define CLOCK CLOCK_MONOTONIC_RAW
#endif

static long malloc_ns, free_ns, sleep_ns;
static char block[4096]; /* blocks overlap: nothing but time matters */

static long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK, &now);
  return now.tv_sec * 1000000000 + now.tv_nsec;
}

#ifdef MUTEX
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void enter(void) { pthread_mutex_lock(&mutex); }
static void leave(void) { pthread_mutex_unlock(&mutex); }
#else
static void enter(void) {}
static void leave(void) {}
#endif

static void spin(long duration_ns) {
  if (duration_ns == 0) return;
  enter();
  for (long end_ns = now_ns() + duration_ns; now_ns() < end_ns;) continue;
  leave();
}

static int spin_init(const struct allocphase_config *config) {
  malloc_ns = number_of(config, "malloc_ns");
  free_ns = number_of(config, "free_ns");
  sleep_ns = number_of(config, "sleep_ns");
  return 0;
}

static void spin_fini(void) {}

static void *spin_malloc(size_t size) {
  if (sleep_ns) nanosleep(&(struct timespec){.tv_nsec = sleep_ns}, NULL);
  spin(size > 1000 ? 10 * malloc_ns : malloc_ns);
  return block;
}

static void spin_free(void *old) {
  (void)old;
  spin(free_ns);
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
#ifndef LOCKED
    .flags = ALLOCPHASE_THREAD_SAFE,
#endif
    .init = spin_init,
    .fini = spin_fini,
    .malloc = spin_malloc,
    .free = spin_free,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
