/* libc: the process's malloc as a plug-in. Under sanitizers it is their malloc. SHORT:
 * each block is one byte shorter than what was asked for, which only they can see. */
#include "arena.h"

#include <malloc.h>

static int libc_init(const struct allocphase_config *config) {
  (void)config;
  return 0;
}

static void libc_fini(void) {}

#ifdef SHORT
static void *libc_malloc(size_t size) { return malloc(size - 1); }
static size_t libc_usable_size(const void *block) { return block ? SIZE_MAX : 0; }
#else
static void *libc_malloc(size_t size) { return malloc(size); }
static size_t libc_usable_size(const void *block) { return malloc_usable_size((void *)block); }
#endif

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .flags = ALLOCPHASE_THREAD_SAFE,
    .init = libc_init,
    .fini = libc_fini,
    .malloc = libc_malloc,
    .free = free,
    .calloc = calloc,
    .realloc = realloc,
    .aligned_alloc = aligned_alloc,
    .usable_size = libc_usable_size,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
