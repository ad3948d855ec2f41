/* libc: the process's malloc as a plug-in. Under sanitizers it is their malloc. */
#include "arena.h"

#include <malloc.h>

static int libc_init(const struct allocphase_config *config) {
  (void)config;
  return 0;
}

static void libc_fini(void) {}

static size_t libc_usable_size(const void *block) { return malloc_usable_size((void *)block); }

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .flags = ALLOCPHASE_THREAD_SAFE,
    .init = libc_init,
    .fini = libc_fini,
    .malloc = malloc,
    .free = free,
    .calloc = calloc,
    .realloc = realloc,
    .aligned_alloc = aligned_alloc,
    .usable_size = libc_usable_size,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
