/* libc: the process's malloc as a plug-in. Under sanitizers it is their malloc. SHORT:
 * each block is one byte shorter than what was asked for, which only they can see.
 *
 * More than there can be is refused here: a sanitizer would end the process. */
#include "arena.h"

#include <malloc.h>

#define MOST ((size_t)1 << 40)

static int libc_init(const struct allocphase_config *config) {
  (void)config;
  return 0;
}

static void libc_fini(void) {}

#ifdef SHORT
static void *libc_malloc(size_t size) { return malloc(size - 1); }
static size_t libc_usable_size(const void *block) { return block ? SIZE_MAX : 0; }
#else
static void *libc_malloc(size_t size) { return size > MOST ? NULL : malloc(size); }
static size_t libc_usable_size(const void *block) { return malloc_usable_size((void *)block); }
#endif

static void *libc_calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > MOST) return NULL;
  return calloc(count, size);
}

static void *libc_realloc(void *block, size_t size) {
  return size > MOST ? NULL : realloc(block, size);
}

static void *libc_aligned_alloc(size_t alignment, size_t size) {
  return size > MOST ? NULL : aligned_alloc(alignment, size);
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .flags = ALLOCPHASE_THREAD_SAFE,
    .init = libc_init,
    .fini = libc_fini,
    .malloc = libc_malloc,
    .free = free,
    .calloc = libc_calloc,
    .realloc = libc_realloc,
    .aligned_alloc = libc_aligned_alloc,
    .usable_size = libc_usable_size,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
