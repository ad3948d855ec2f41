/* parting: a thread-safe plug-in that wants thread_start before a thread's first call and
 * thread_stop after its last, and ends the process where a call comes outside of them.
 *
 * Its thread-local variables are of the kind that the linker makes at a thread's first use, by
 * malloc, and many. Each of its own calls asks for memory, too, as if it used a libc function
 * that does.
 */
#include "arena.h"

#include <pthread.h>

static _Thread_local struct {
  char many[3000];
  int started;
} thread;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long started, stopped;

static void expect_started(int wanted, const char *line) {
  if (thread.started == wanted) return;
  ssize_t written = write(STDERR_FILENO, line, strlen(line));
  (void)written;
  abort();
}

static void parting_start(void) {
  expect_started(0, "parting: thread_start twice\n");
  thread.started = 1;
  memset(thread.many, 1, sizeof thread.many);
  __atomic_fetch_add(&started, 1, __ATOMIC_RELAXED);
}

static void parting_stop(void) {
  expect_started(1, "parting: thread_stop without thread_start\n");
  thread.started = 0;
  __atomic_fetch_add(&stopped, 1, __ATOMIC_RELAXED);
}

static void ask_for_memory(void) {
  char *volatile own = malloc(40);
  free(own);
}

static void *parting_aligned_alloc(size_t alignment, size_t size) {
  expect_started(1, "parting: a call of a thread that has not started, or has stopped\n");
  ask_for_memory();
  pthread_mutex_lock(&mutex);
  void *block = arena_aligned_alloc(alignment, size);
  pthread_mutex_unlock(&mutex);
  return block;
}

static void *parting_malloc(size_t size) { return parting_aligned_alloc(16, size); }

static void parting_free(void *block) {
  expect_started(1, "parting: a free of a thread that has not started, or has stopped\n");
  if (block) memset(block, 0xee, arena_size(block));
}

EXPORT long parting_started(void) { return __atomic_load_n(&started, __ATOMIC_RELAXED); }
EXPORT long parting_stopped(void) { return __atomic_load_n(&stopped, __ATOMIC_RELAXED); }

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .flags = ALLOCPHASE_THREAD_SAFE,
    .init = arena_init,
    .fini = arena_fini,
    .malloc = parting_malloc,
    .free = parting_free,
    .aligned_alloc = parting_aligned_alloc,
    .usable_size = arena_size,
    .thread_start = parting_start,
    .thread_stop = parting_stop,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
