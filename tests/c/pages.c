/* pages: each malloc maps `pages` pages, and touches them when `touch` is 1; free
 * gives them back when `release` is 1. Huge pages would make one fault of many. */
#include "arena.h"

static long pages, touch, release;

static int pages_init(const struct allocphase_config *config) {
  pages = number_of(config, "pages");
  touch = number_of(config, "touch");
  release = number_of(config, "release");
  return 0;
}

static void pages_fini(void) {}

static void *pages_malloc(size_t size) {
  size_t bytes = (size_t)pages * os_page_bytes();
  char *block = size <= bytes ? os_map(bytes) : NULL;
  if (!block) return NULL;
  madvise(block, bytes, MADV_NOHUGEPAGE);
  for (size_t at = 0; touch && at < bytes; at += os_page_bytes()) block[at] = 1;
  return block;
}

static void pages_free(void *block) {
  if (release) os_unmap(block, (size_t)pages * os_page_bytes());
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = pages_init,
    .fini = pages_fini,
    .malloc = pages_malloc,
    .free = pages_free,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
