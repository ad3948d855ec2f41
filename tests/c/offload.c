/* offload: malloc has a thread of its own work for `ns`, and yields until that is done.
 * It began in init, so it shares the caller's CPU: what it works is no time of others. */
#include "arena.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static long work_ns;
static atomic_uint asked, done;
static atomic_bool over;
static pthread_t helper;
static char block[65536]; /* blocks overlap: nothing but time matters */

static void burn(void) {
  struct timespec start, now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  do clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  while ((now.tv_sec - start.tv_sec) * 1000000000L + now.tv_nsec - start.tv_nsec < work_ns);
}

static void *help(void *nothing) {
  while (!atomic_load(&over)) {
    if (atomic_load(&done) == atomic_load(&asked)) {
      sched_yield();
      continue;
    }
    burn();
    atomic_fetch_add(&done, 1);
  }
  return nothing;
}

static int offload_init(const struct allocphase_config *config) {
  work_ns = number_of(config, "ns");
  return pthread_create(&helper, NULL, help, NULL);
}

static void offload_fini(void) {
  atomic_store(&over, true);
  pthread_join(helper, NULL);
}

static void *offload_malloc(size_t size) {
  unsigned mine = atomic_fetch_add(&asked, 1) + 1;
  while (atomic_load(&done) != mine) sched_yield();
  return size <= sizeof block ? block : NULL;
}

static void offload_free(void *old) { (void)old; }

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = offload_init,
    .fini = offload_fini,
    .malloc = offload_malloc,
    .free = offload_free,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
