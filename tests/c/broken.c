/* broken: correct, but for one `fault` from the `at`-th allocation on (the first is
 * 0); without a fault it is correct throughout. */
#include "arena.h"

#include <stdbool.h>

static const char *fault = "";
static long at, allocations, checks;
static char *last;

static bool broken(const char *kind) { return allocations > at && strcmp(fault, kind) == 0; }

static int broken_init(const struct allocphase_config *config) {
  fault = text_of(config, "fault");
  at = number_of(config, "at");
  return arena_init(config);
}

static void *hand_out(void *fresh) {
  allocations++;
  char *block = fresh;
  if (broken("overlap")) block = last + 16;
  if (broken("misalign")) block += 8;
  if (broken("scribble")) last[arena_size(last) - 1] ^= 1;
  return last = block;
}

static void *broken_malloc(size_t size) { return hand_out(arena_malloc(size)); }

static void *broken_calloc(size_t count, size_t size) {
  char *block = hand_out(arena_calloc(count, size));
  if (broken("dirty-calloc")) block[count * size - 1] = 1;
  return block;
}

static void *broken_realloc(void *old, size_t size) {
  allocations++;
  return broken("lost-prefix") ? arena_malloc(size) : arena_realloc(old, size);
}

static void *broken_aligned_alloc(size_t alignment, size_t size) {
  allocations++;
  char *block = arena_aligned_alloc(alignment, size);
  return broken("half-aligned") ? block + alignment / 2 : block;
}

/* The arena leaves 8 bytes before each block: the owner stands there. */
static void *broken_malloc_tagged(size_t size, const struct allocphase_tag *tag) {
  char *block = broken_malloc(size);
  if (block) memcpy(block - 8, &tag->domain, sizeof tag->domain);
  return block;
}

static int broken_free_tagged(void *block, const struct allocphase_tag *tag) {
  uint32_t owner;
  memcpy(&owner, (char *)block - 8, sizeof owner);
  if (broken("refuses-own")) return EPERM;
  if (broken("frees-foreign")) return 0;
  return owner == tag->domain ? 0 : EPERM;
}

static size_t broken_usable_size(const void *block) {
  return arena_size(block) - (broken("small-usable") ? 1 : 0);
}

static const char *broken_check(void) {
  checks++;
  return broken("check") ? "widgets do not add up" : NULL;
}

static void broken_stats(allocphase_stat_sink *sink, void *context) {
  sink(context, "checks", (double)checks);
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = broken_init,
    .fini = arena_fini,
    .malloc = broken_malloc,
    .free = arena_free,
    .calloc = broken_calloc,
    .realloc = broken_realloc,
    .aligned_alloc = broken_aligned_alloc,
    .malloc_tagged = broken_malloc_tagged,
    .free_tagged = broken_free_tagged,
    .usable_size = broken_usable_size,
    .stats = broken_stats,
    .check = broken_check,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
