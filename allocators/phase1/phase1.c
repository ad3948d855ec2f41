/* phase1: a bitmap allocator.
 *
 * Memory is mapped in *regions*, several of them at init, and divided into
 * *granules* of 16 bytes. Two bits describe a granule: is it *used*, and is it the
 * *last* of its block. A block is a run of used granules up to a last one, so it
 * needs no header.
 *
 *     block     A A A B B . . C . . . .
 *     used      1 1 1 1 1 0 0 1 0 0 0 0
 *     last      0 0 1 0 1 0 0 1 0 0 0 0
 *
 * malloc looks for a run of free granules 64 at a time: a word that is all used
 * or all free is passed in one step, and in a mixed one count-trailing-zeros finds
 * where a run begins and ends. The search is next-fit: it goes on from the *hint*,
 * where the last one ended, and wraps around.
 *
 * Next-fit alone would tour the whole region and miss the caches on each round. So
 * the search is confined to the region's *window*, a beginning of it that grows
 * only when it is three quarters full or has no run that is long enough.
 *
 * The bits also tell what is no block: free ends the process, with a message, for a
 * granule that is not used, or that is not the first of its block.
 *
 * When no region has room, one more is mapped, as large as all before together;
 * blocks beyond an eighth of a region get a mapping of their own. Until then there
 * is no system call after init.
 */
#include "os.h"

#include "../blocks.h"
#include "../mapped.h"
#include "../misuse.h"
#include "allocphase.h"
#include "settings.h"

#define GRANULE_BYTES BLOCK_ALIGNMENT
#define WORD_BITS 64u
#define FIRST_WINDOW ((size_t)4096) /* granules: 64 KiB */
#define MOST_REGIONS 64u
#define NONE SIZE_MAX

static size_t region_bytes = 16777216;
static size_t regions_at_init = 4;

static const struct setting settings[] = {
    {"region_bytes", .whole = &region_bytes, .least = 1 << 20, .most = 1ull << 40},
    {"regions_at_init", .whole = &regions_at_init, .least = 1, .most = 16},
};

/* Invariants:
 *   - a last granule is used; a used granule before a free one is a last one;
 *   - used_granules of the first `window` granules are used, and none behind;
 *   - the bits up to a multiple of 64 granules exist, so that words are whole. */
struct region {
  uint64_t *used; /* the mapping begins here: used bits, last bits, granules */
  uint64_t *last;
  char *heap;
  size_t bytes; /* of the mapping */
  size_t granules;
  size_t window;
  size_t hint;
  size_t used_granules;
};

static struct region regions[MOST_REGIONS];
static size_t region_count;
static size_t serving; /* the region that served last */
static struct mapped_list large;

/* ---- Bits -------------------------------------------------------------------------- */

/* The first bit in [from, end) that differs from `skip` (all zeros or all ones), or
 * `end`. */
static size_t next_bit(const uint64_t *words, uint64_t skip, size_t from, size_t end) {
  if (from >= end) return end;
  size_t index = from / WORD_BITS;
  uint64_t word = (words[index] ^ skip) & (~0ull << from % WORD_BITS);
  while (word == 0) {
    if (++index * WORD_BITS >= end) return end;
    word = words[index] ^ skip;
  }
  size_t found = index * WORD_BITS + (unsigned)__builtin_ctzll(word);
  return found < end ? found : end;
}

static size_t next_used(const struct region *region, size_t from, size_t end) {
  return next_bit(region->used, 0, from, end);
}

static size_t next_free(const struct region *region, size_t from, size_t end) {
  return next_bit(region->used, ~0ull, from, end);
}

/* Flips the bits of [from, end), which are all alike. */
static void flip_bits(uint64_t *words, size_t from, size_t end) {
  size_t index = from / WORD_BITS, final = (end - 1) / WORD_BITS;
  uint64_t mask = ~0ull << from % WORD_BITS;
  for (; index < final; index++, mask = ~0ull) words[index] ^= mask;
  words[final] ^= mask & (~0ull >> (WORD_BITS - 1 - (end - 1) % WORD_BITS));
}

/* ---- Regions ----------------------------------------------------------------------- */

static int region_add(size_t bytes) {
  if (region_count == MOST_REGIONS) return ENOMEM;
  size_t granules = bytes / GRANULE_BYTES / WORD_BITS * WORD_BITS;
  size_t bitmap_bytes = granules / 8;
  size_t mapping_bytes = 2 * bitmap_bytes + granules * GRANULE_BYTES;
  char *start = os_reserve(mapping_bytes);
  if (start == NULL) return ENOMEM;
  regions[region_count++] = (struct region){
      .used = (uint64_t *)start,
      .last = (uint64_t *)(start + bitmap_bytes),
      .heap = start + 2 * bitmap_bytes,
      .bytes = mapping_bytes,
      .granules = granules,
      .window = FIRST_WINDOW,
  };
  return 0;
}

static size_t heap_bytes(void) {
  size_t bytes = 0;
  for (size_t i = 0; i < region_count; i++) bytes += regions[i].granules * GRANULE_BYTES;
  return bytes;
}

static void phase1_fini(void) {
  mapped_free_all(&large);
  while (region_count > 0) {
    region_count--;
    os_unmap(regions[region_count].used, regions[region_count].bytes);
  }
}

static int phase1_init(const struct allocphase_config *config) {
  int error = settings_read(config, settings, sizeof settings / sizeof *settings);
  while (error == 0 && region_count < regions_at_init) error = region_add(region_bytes);
  if (error != 0) phase1_fini();
  return error;
}

/* NULL: the block has a mapping of its own. */
static struct region *region_of(const void *block) {
  for (struct region *region = regions; region != regions + region_count; region++)
    if ((uintptr_t)block - (uintptr_t)region->heap < region->granules * GRANULE_BYTES)
      return region;
  return NULL;
}

/* ---- The search -------------------------------------------------------------------- */

/* The first run of `count` free granules in [from, end), or NONE. */
static size_t find_run(const struct region *region, size_t count, size_t from, size_t end) {
  for (size_t start = from;;) {
    start = next_free(region, start, end);
    if (start + count > end) return NONE;
    size_t stop = next_used(region, start, start + count);
    if (stop == start + count) return start;
    start = stop;
  }
}

static bool widen_window(struct region *region, size_t count) {
  if (region->window == region->granules) return false;
  size_t wider = region->window + region->window / 2 + count;
  region->window = wider < region->granules ? wider : region->granules;
  return true;
}

static size_t region_find(struct region *region, size_t count) {
  if (region->granules - region->used_granules < count) return NONE;
  if (region->used_granules + count > region->window / 4 * 3) widen_window(region, count);
  size_t start = find_run(region, count, region->hint, region->window);
  if (start != NONE) return start;
  do {
    start = find_run(region, count, 0, region->window);
  } while (start == NONE && widen_window(region, count));
  return start;
}

/* In the region that served last, then in the others, then in one more. */
static size_t find_anywhere(size_t count) {
  for (size_t i = 0; i < region_count; i++) {
    size_t start = region_find(&regions[serving], count);
    if (start != NONE) return start;
    serving = (serving + 1) % region_count;
  }
  size_t needed = 2 * count * GRANULE_BYTES;
  size_t bytes = heap_bytes() < needed ? needed : heap_bytes();
  if (region_add(bytes) != 0) return NONE;
  serving = region_count - 1;
  return region_find(&regions[serving], count);
}

/* ---- malloc and free --------------------------------------------------------------- */

static void *allocate(size_t alignment, size_t size) {
  if (!request_is_valid(alignment, size)) return NULL;
  alignment = block_alignment(alignment);
  size_t slack = alignment - GRANULE_BYTES;
  if (size + slack > region_bytes / 8) return mapped_new(&large, alignment, size);
  size_t count = size == 0 ? 1 : round_up(size, GRANULE_BYTES) / GRANULE_BYTES;
  size_t start = find_anywhere(count + slack / GRANULE_BYTES);
  if (start == NONE) return mapped_new(&large, alignment, size);
  struct region *region = &regions[serving];
  char *block = align_pointer(region->heap + start * GRANULE_BYTES, alignment);
  start = (size_t)(block - region->heap) / GRANULE_BYTES;
  flip_bits(region->used, start, start + count);
  flip_bits(region->last, start + count - 1, start + count);
  region->used_granules += count;
  region->hint = start + count;
  return block;
}

/* A used granule behind a free one, or behind the last of another block: as bits of
 * two words, without a branch on what lies before, which is as good as random. */
static bool is_first(const struct region *region, size_t granule) {
  size_t index = granule / WORD_BITS;
  uint64_t goes_on = region->used[index] & ~region->last[index], before = goes_on << 1;
  if (granule % WORD_BITS == 0 && index > 0)
    before = (region->used[index - 1] & ~region->last[index - 1]) >> (WORD_BITS - 1);
  return (region->used[index] & ~before) >> granule % WORD_BITS & 1;
}

/* The first granule of a live block. Behind the window no block was ever cut. */
static size_t first_granule(const struct region *region, const void *block,
                            const char *when_freed) {
  size_t offset = (size_t)((const char *)block - region->heap), granule = offset / GRANULE_BYTES;
  if (offset % GRANULE_BYTES == 0 && is_first(region, granule)) return granule;
  bool was_block = offset % GRANULE_BYTES == 0 && granule < region->window &&
                   next_used(region, granule, granule + 1) != granule;
  misuse("phase1", was_block ? when_freed : FOREIGN_POINTER, block);
}

/* They are few, and each has cost more than the walk: a mapping and its page faults. */
static void expect_large(const void *block) {
  if (!mapped_is_listed(&large, block)) misuse("phase1", FOREIGN_POINTER, block);
}

static size_t block_end(const struct region *region, size_t start) {
  return next_bit(region->last, 0, start, region->granules) + 1;
}

static void *phase1_malloc(size_t size) { return allocate(BLOCK_ALIGNMENT, size); }

/* The block that was cut last, and is freed first, is cut again from its place. */
static void phase1_free(void *block) {
  if (block == NULL) return;
  struct region *region = region_of(block);
  if (region == NULL) {
    expect_large(block);
    mapped_free(&large, block);
    return;
  }
  size_t start = first_granule(region, block, DOUBLE_FREE), end = block_end(region, start);
  flip_bits(region->used, start, end);
  flip_bits(region->last, end - 1, end);
  region->used_granules -= end - start;
  if (region->hint == end) region->hint = start;
  if (region->used_granules == 0) region->hint = 0;
}

/* ---- What follows from them -------------------------------------------------------- */

static size_t phase1_usable_size(const void *block) {
  const struct region *region = region_of(block);
  if (region == NULL) {
    expect_large(block);
    return mapped_usable_size(block);
  }
  size_t start = first_granule(region, block, USE_AFTER_FREE);
  return (block_end(region, start) - start) * GRANULE_BYTES;
}

/* A mapping of its own comes zeroed from the system. */
static void *phase1_calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  void *block = phase1_malloc(bytes);
  return block != NULL && region_of(block) != NULL ? memset(block, 0, bytes) : block;
}

static void *phase1_realloc(void *block, size_t size) {
  return realloc_by_copying(block, size, phase1_malloc, phase1_free, phase1_usable_size);
}

static void *phase1_aligned_alloc(size_t alignment, size_t size) {
  return allocate(alignment, size);
}

/* ---- Introspection ----------------------------------------------------------------- */

static void phase1_stats(allocphase_stat_sink *sink, void *context) {
  size_t used = 0, window = 0;
  for (size_t i = 0; i < region_count; i++) {
    used += regions[i].used_granules;
    window += regions[i].window;
  }
  sink(context, "regions", (double)region_count);
  sink(context, "heap_bytes", (double)heap_bytes());
  sink(context, "window_bytes", (double)(window * GRANULE_BYTES));
  sink(context, "used_bytes", (double)(used * GRANULE_BYTES));
  sink(context, "large_blocks", (double)large.count);
  sink(context, "large_bytes", (double)large.bytes);
}

static const char *region_check(const struct region *region) {
  size_t used_granules = 0;
  for (size_t i = 0; i < region->granules / WORD_BITS; i++) {
    uint64_t used = region->used[i], last = region->last[i];
    bool is_final = (i + 1) * WORD_BITS == region->granules;
    uint64_t follower = is_final ? 0 : region->used[i + 1] << (WORD_BITS - 1);
    if ((last & ~used) != 0) return "a free granule is marked as the last of a block";
    if ((used & ~(used >> 1 | follower) & ~last) != 0) return "a block has no last granule";
    used_granules += (unsigned)__builtin_popcountll(used);
  }
  if (used_granules != region->used_granules) return "the used bits do not add up to the count";
  if (next_used(region, region->window, region->granules) != region->granules)
    return "a granule behind the window is used";
  return NULL;
}

static const char *phase1_check(void) {
  const char *fault = mapped_check(&large);
  for (size_t i = 0; i < region_count && fault == NULL; i++) fault = region_check(&regions[i]);
  return fault;
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = phase1_init,
    .fini = phase1_fini,
    .malloc = phase1_malloc,
    .free = phase1_free,
    .calloc = phase1_calloc,
    .realloc = phase1_realloc,
    .aligned_alloc = phase1_aligned_alloc,
    .usable_size = phase1_usable_size,
    .stats = phase1_stats,
    .check = phase1_check,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}
