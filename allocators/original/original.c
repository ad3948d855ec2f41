/* original: the textbook allocator. One list of blocks, first fit.
 *
 * Every block, live or free, carries a *header* with its size, and all headers are
 * on one singly linked list in the order of their addresses. Memory is mapped in
 * *regions*; the blocks of a region lie back to back and fill it.
 *
 *     region | header | block | header | free block | header | block |
 *                 |_______________^ |____________________^
 *
 * malloc walks from the head to the first free block that is large enough and
 * *splits* it when the rest can be a block. free marks its block and then walks
 * the list from the head to its end and merges (*coalesces*) every free block with
 * a free one directly behind it. So each call walks the list, and its time is in
 * proportion to the number of blocks. That is the point of this allocator:
 * neither a free list, nor links backwards, nor a walk that begins at the block.
 */
#include "os.h"

#include "../blocks.h"
#include "../misuse.h"
#include "allocphase.h"
#include "settings.h"

static size_t region_bytes = 16777216;

static const struct setting settings[] = {
    {"region_bytes", .whole = &region_bytes, .least = 65536, .most = 1ull << 40},
};

/* Invariants:
 *   - the list is in address order, each block ends at or before the next header;
 *   - after a free, no free block is followed directly by a free one;
 *   - sizes are multiples of 16. */
struct header {
  struct header *next;
  size_t size_and_live; /* of the block, without the header; bit 0: live */
};

/* At the start of each mapping: blocks of two regions are never adjacent. */
struct region {
  struct region *next;
  size_t bytes;
};

_Static_assert(sizeof(struct header) == BLOCK_ALIGNMENT, "a block follows its header");
_Static_assert(sizeof(struct region) == BLOCK_ALIGNMENT, "the first header is aligned");

#define LIVE ((size_t)1)
#define SMALLEST_BLOCK BLOCK_ALIGNMENT

static struct header *head;
static struct region *regions;
static size_t live_blocks;

static size_t size_of(const struct header *header) { return header->size_and_live & ~LIVE; }

static bool is_live(const struct header *header) { return (header->size_and_live & LIVE) != 0; }

static char *block_of(const struct header *header) { return (char *)(uintptr_t)(header + 1); }

static struct header *header_of(const void *block) {
  return (struct header *)(uintptr_t)block - 1;
}

static bool is_adjacent(const struct header *header, const struct header *behind) {
  return behind != NULL && block_of(header) + size_of(header) == (const char *)behind;
}

/* ---- Regions ----------------------------------------------------------------------- */

/* One free block, put where its address belongs. */
static void list_insert(struct header *header) {
  struct header **link = &head;
  while (*link != NULL && *link < header) link = &(*link)->next;
  header->next = *link;
  *link = header;
}

static bool region_add(size_t block_bytes) {
  size_t needed = sizeof(struct region) + sizeof(struct header) + block_bytes;
  size_t bytes = round_up(needed < region_bytes ? region_bytes : needed, os_page_bytes());
  struct region *region = os_map(bytes);
  if (region == NULL) return false;
  *region = (struct region){.next = regions, .bytes = bytes};
  regions = region;
  struct header *header = (struct header *)(region + 1);
  header->size_and_live = bytes - sizeof *region - sizeof *header;
  list_insert(header);
  return true;
}

static void original_fini(void) {
  while (regions != NULL) {
    struct region gone = *regions;
    os_unmap(regions, gone.bytes);
    regions = gone.next;
  }
  head = NULL;
}

static int original_init(const struct allocphase_config *config) {
  int error = settings_read(config, settings, sizeof settings / sizeof *settings);
  if (error != 0) return error;
  return region_add(SMALLEST_BLOCK) ? 0 : ENOMEM;
}

/* ---- Splitting and coalescing ------------------------------------------------------ */

/* Makes two blocks of one, the first with `bytes`; leaves it whole when the rest is
 * too small for a header and a block. */
static void split(struct header *header, size_t bytes) {
  size_t size = size_of(header);
  if (size < bytes + sizeof *header + SMALLEST_BLOCK) return;
  struct header *rest = (struct header *)(block_of(header) + bytes);
  *rest = (struct header){.next = header->next,
                          .size_and_live = size - bytes - sizeof *header};
  header->size_and_live = bytes | (header->size_and_live & LIVE);
  header->next = rest;
}

static void coalesce_all(void) {
  for (struct header *header = head; header != NULL; header = header->next)
    while (!is_live(header) && is_adjacent(header, header->next) && !is_live(header->next)) {
      header->size_and_live += sizeof *header + size_of(header->next);
      header->next = header->next->next;
    }
}

/* ---- malloc and free --------------------------------------------------------------- */

/* Where an aligned block would begin in a free one: at its own start, or so far
 * behind it that the part before can stay a free block. */
static char *aligned_start(const struct header *header, size_t alignment) {
  char *start = align_pointer(block_of(header), alignment);
  if (start == block_of(header)) return start;
  return align_pointer(block_of(header) + SMALLEST_BLOCK + sizeof *header, alignment);
}

static bool fits(const struct header *header, size_t alignment, size_t bytes) {
  if (is_live(header)) return false;
  size_t before = (size_t)(aligned_start(header, alignment) - block_of(header));
  return before <= size_of(header) && size_of(header) - before >= bytes;
}

static struct header *first_fit(size_t alignment, size_t bytes) {
  struct header *header = head;
  while (header != NULL && !fits(header, alignment, bytes)) header = header->next;
  return header;
}

static void *allocate(size_t alignment, size_t size) {
  if (!request_is_valid(alignment, size)) return NULL;
  alignment = block_alignment(alignment);
  size_t bytes = size == 0 ? SMALLEST_BLOCK : round_up(size, BLOCK_ALIGNMENT);
  struct header *header = first_fit(alignment, bytes);
  if (header == NULL) {
    if (!region_add(bytes + alignment + sizeof *header)) return no_memory();
    header = first_fit(alignment, bytes);
  }
  char *start = aligned_start(header, alignment);
  if (start != block_of(header)) {
    split(header, (size_t)(start - block_of(header)) - sizeof *header);
    header = header->next;
  }
  split(header, bytes);
  header->size_and_live |= LIVE;
  live_blocks++;
  return block_of(header);
}

static void *original_malloc(size_t size) { return allocate(BLOCK_ALIGNMENT, size); }

static void original_free(void *block) {
  if (block == NULL) return;
  if (!is_live(header_of(block))) misuse("original", DOUBLE_FREE, block);
  header_of(block)->size_and_live &= ~LIVE;
  live_blocks--;
  coalesce_all();
}

/* ---- What follows from them -------------------------------------------------------- */

static size_t original_usable_size(const void *block) { return size_of(header_of(block)); }

static void *original_calloc(size_t count, size_t size) {
  return calloc_by_clearing(count, size, original_malloc);
}

static void *original_realloc(void *block, size_t size) {
  return realloc_by_copying(block, size, original_malloc, original_free, original_usable_size);
}

static void *original_aligned_alloc(size_t alignment, size_t size) {
  return allocate(alignment, size);
}

/* ---- Introspection ----------------------------------------------------------------- */

static void original_stats(allocphase_stat_sink *sink, void *context) {
  size_t mapped = 0, free_bytes = 0, blocks = 0;
  for (const struct region *region = regions; region != NULL; region = region->next)
    mapped += region->bytes;
  for (const struct header *header = head; header != NULL; header = header->next) {
    blocks++;
    if (!is_live(header)) free_bytes += size_of(header);
  }
  sink(context, "region_bytes", (double)mapped);
  sink(context, "free_bytes", (double)free_bytes);
  sink(context, "blocks", (double)blocks);
  sink(context, "live_blocks", (double)live_blocks);
}

static const char *original_check(void) {
  size_t live = 0, bytes = 0, mapped = 0;
  for (const struct region *region = regions; region != NULL; region = region->next)
    mapped += region->bytes - sizeof *region;
  for (const struct header *header = head; header != NULL; header = header->next) {
    const struct header *next = header->next;
    if (size_of(header) % BLOCK_ALIGNMENT != 0) return "a size is no multiple of 16";
    if (next != NULL && block_of(header) + size_of(header) > (const char *)next)
      return "blocks overlap or are out of order";
    if (!is_live(header) && is_adjacent(header, next) && !is_live(next))
      return "two free blocks are adjacent";
    live += is_live(header);
    bytes += sizeof *header + size_of(header);
  }
  if (live != live_blocks) return "the live blocks do not add up to the count";
  if (bytes != mapped) return "the blocks do not fill their regions";
  return NULL;
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = original_init,
    .fini = original_fini,
    .malloc = original_malloc,
    .free = original_free,
    .calloc = original_calloc,
    .realloc = original_realloc,
    .aligned_alloc = original_aligned_alloc,
    .usable_size = original_usable_size,
    .stats = original_stats,
    .check = original_check,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}
