/* banded: the process's malloc as a plug-in; a malloc of `least` to `most` bytes
 * counts to `spins` first, and nothing else is slower. */
#include "arena.h"

#define MOST ((size_t)1 << 40)

static size_t least, most;
static long spins;

static int banded_init(const struct allocphase_config *config) {
  least = (size_t)number_of(config, "least");
  most = (size_t)number_of(config, "most");
  spins = number_of(config, "spins");
  return 0;
}

static void banded_fini(void) {}

static void *banded_malloc(size_t size) {
  if (size >= least && size <= most)
    for (volatile long i = 0; i < spins; i++) continue;
  return size > MOST ? NULL : malloc(size);
}

static void banded_free(void *block) { free(block); }

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .flags = ALLOCPHASE_THREAD_SAFE,
    .init = banded_init,
    .fini = banded_fini,
    .malloc = banded_malloc,
    .free = banded_free,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
