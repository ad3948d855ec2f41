/* flusher: at the end of each thread that has allocated, works for `flush_ns`. As a
 * plug-in it does so in thread_stop; as a preload, which is not told, in the destructor
 * of a thread-specific value, as the field's allocators do. malloc is libc's in both. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef FLUSH_NS
#define FLUSH_NS 20000000
#endif

static void flush(void) {
  struct timespec start, now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  do clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  while ((now.tv_sec - start.tv_sec) * 1000000000L + now.tv_nsec - start.tv_nsec < FLUSH_NS);
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

#ifdef PRELOAD

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local int seen;

static void at_end(void *value) {
  (void)value;
  flush();
}

static void make_key(void) { pthread_key_create(&key, at_end); }

static void notice_thread(void) {
  if (seen) return;
  seen = 1;
  pthread_once(&once, make_key);
  pthread_setspecific(key, &seen);
}

void *malloc(size_t size) {
  notice_thread();
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) { return __libc_calloc(count, size); }
void *realloc(void *block, size_t size) { return __libc_realloc(block, size); }
void *aligned_alloc(size_t alignment, size_t size) { return __libc_memalign(alignment, size); }
void free(void *block) { __libc_free(block); }

#else

#include "allocphase.h"

static int flusher_init(const struct allocphase_config *config) {
  (void)config;
  return 0;
}

static void flusher_fini(void) {}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .flags = ALLOCPHASE_THREAD_SAFE,
    .init = flusher_init,
    .fini = flusher_fini,
    .malloc = __libc_malloc,
    .free = __libc_free,
    .thread_stop = flush,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}

#endif
