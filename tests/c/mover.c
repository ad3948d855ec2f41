/* mover: each block is a mapping of its own. realloc copies into a new one (way=copy), or
 * moves the page tables (way=remap). free unmaps; gives=lazily and gives="at once" keep
 * the addresses and give only the memory back, by MADV_FREE and MADV_DONTNEED. */
#include "arena.h"

#include <stdbool.h>
#include <sys/mman.h>

#define HEADER_BYTES 4096

static bool remaps, keeps, lazily;

static int mover_init(const struct allocphase_config *config) {
  remaps = strcmp(text_of(config, "way"), "remap") == 0;
  lazily = strcmp(text_of(config, "gives"), "lazily") == 0;
  keeps = text_of(config, "gives")[0] != '\0';
  return 0;
}

static void mover_fini(void) {}

static size_t *header_of(void *block) { return (size_t *)((char *)block - HEADER_BYTES); }

static void *mover_malloc(size_t size) {
  size_t bytes = size + HEADER_BYTES;
  size_t *header = os_map(bytes);
  if (!header) return NULL;
  *header = bytes;
  return (char *)header + HEADER_BYTES;
}

static void mover_free(void *block) {
  size_t *header = header_of(block);
  if (keeps) madvise(header, *header, lazily ? MADV_FREE : MADV_DONTNEED);
  else os_unmap(header, *header);
}

static void *mover_realloc(void *block, size_t size) {
  size_t *header = header_of(block), bytes = size + HEADER_BYTES;
  if (remaps) {
    header = mremap(header, *header, bytes, MREMAP_MAYMOVE);
    if (header == MAP_FAILED) return NULL;
    *header = bytes;
    return (char *)header + HEADER_BYTES;
  }
  void *moved = mover_malloc(size);
  if (!moved) return NULL;
  size_t old = *header - HEADER_BYTES;
  memcpy(moved, block, old < size ? old : size);
  mover_free(block);
  return moved;
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = mover_init,
    .fini = mover_fini,
    .malloc = mover_malloc,
    .free = mover_free,
    .realloc = mover_realloc,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
