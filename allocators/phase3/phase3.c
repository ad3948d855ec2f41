/* phase3: size-class pages in one reserve. No header, no search, no system call.
 *
 * At init a large *region* of addresses is reserved, which costs nothing until it
 * is touched. It is divided into *pages* of 64 KiB; a *descriptor* stands for each
 * in an array at the region's beginning, so that an address yields its page's
 * descriptor by a subtraction and a shift:
 *
 *     region | descriptors | page 0 | page 1 | ... | page top |  never used ...  |
 *
 * Consecutive pages with one purpose are a *run*. There are three kinds:
 *
 *   class page   one page, objects of one *size class*. Its free objects are linked
 *                through their own first word; the list is last-in first-out, so
 *                that the memory handed out is the memory used most recently.
 *   large        one block above LARGEST_SMALL, from the run's first byte on.
 *   free         kept in a *bin* by the logarithm of its length, and merged with
 *                free neighbours. What ends at `top` is merged into the unused rest.
 *
 * The class pages that have room form a *ring* for each class, around a sentinel.
 * malloc takes from the ring's first page, free gives back to the page that the
 * address names. Both touch one descriptor and one object, whatever is live:
 *
 *     malloc   page = first page of the class; object = page->free, unlinked
 *     free     page = descriptor of the address; object linked to page->free
 *
 * All else is rare: a list is empty, a page fills up, a full page gets room, a page
 * becomes empty. free tells the last two, and large blocks, from the common case by
 * one comparison of the live objects with the page's *alarm*.
 *
 * A block that is freed twice, and an address that was never handed out, end the
 * process with a message. The second word of a free object, its *mark*, names its
 * page; malloc wipes it. A block with such a mark is looked for on the page's free
 * list before it is called free, since a program may have written the same. A page
 * without live objects has an alarm that always rings. An address that is no multiple
 * of 16 lies in no page. All this is found in the two cache lines that free needs, and
 * takes 3 to 4% of a churn. Not found is the free of an address within an object that is
 * such a multiple: to divide by the object's size, by a stored reciprocal, took as
 * much again.
 *
 * Objects join the free list a few at a time (*carving*), so that a page's memory
 * is not touched before it is needed. When a region is full, one more is reserved:
 * the only system call in operation. Memory never goes back before fini.
 */
#include "os.h"

#include "../blocks.h"
#include "../misuse.h"
#include "allocphase.h"
#include "settings.h"

static size_t reserve_bytes = 17179869184; /* 16 GiB of addresses, not of memory */

static const struct setting settings[] = {
    {"reserve_bytes", .whole = &reserve_bytes, .least = 1 << 20, .most = 1ull << 44},
};

#define PAGE_SHIFT 16u
#define PAGE_BYTES ((size_t)1 << PAGE_SHIFT)
#define LARGEST_SMALL ((size_t)16384) /* at least three objects in a page */
#define GRANULE_SHIFT 4u              /* every block begins at a granule of CLASS_STEP bytes */
#define CLASSES 36u                   /* class_of(LARGEST_SMALL) + 1 */
#define LARGEST_DIRECT ((size_t)1024) /* class found in a table; above, computed */
#define CARVE_BYTES ((size_t)4096)
#define COLOUR_STEP ((size_t)320)
#define COLOURS_BYTES ((size_t)4096) /* the sets of a first cache repeat at this distance */
#define BINS 32u                     /* a run has less than 2^32 pages */
#define MOST_REGIONS 64u

enum page_kind { UNUSED, FREE_RUN, CLASS_PAGE, LARGE }; /* zeroed memory is UNUSED */

struct object {
  struct object *next;
  const struct page *mark;
};

_Static_assert(sizeof(struct object) <= CLASS_STEP, "the smallest object has both words");
_Static_assert(CLASS_STEP == 1u << GRANULE_SHIFT, "class_of");

/* Invariants:
 *   - a run's first and last descriptor carry its kind and its length in `pages`;
 *   - no two neighbouring runs are free, none ends at top, kind[top] is UNUSED;
 *   - class page: live + length of the free list = carved <= capacity;
 *   - a ring's first page: alarm = 0, since it stays when it is empty;
 *   - other pages of a ring: alarm = 1, and live > 0;
 *   - a full page: in no ring, alarm = live = capacity, which is more than 1;
 *   - a large block's first page: alarm = live = 1; all other pages: alarm = live = 0;
 *   - only a run's first page has a kind and a start that fit together. */
struct page {
  struct object *free;
  uint32_t live;
  uint32_t alarm; /* free takes the slow path when live is this */
  uint32_t carved;
  uint32_t capacity;
  struct page *next; /* in a ring or in a bin */
  struct page *previous;
  char *start;  /* of the first object, or of the large block */
  size_t bytes; /* of an object, or of the large block */
  uint32_t pages;
  uint8_t kind;
  uint8_t class;
  uint8_t region;
  bool zeroed; /* large: this memory was never used before */
};

_Static_assert(sizeof(struct page) == 64, "one cache line");
_Static_assert(MOST_REGIONS <= UINT8_MAX, "struct page: region");

struct region {
  char *base;         /* of page 0, aligned to PAGE_BYTES */
  size_t granules;    /* of all pages */
  struct page *pages; /* pages[-1] and the one behind the last exist, UNUSED */
  size_t bytes;       /* of all pages */
  size_t top;         /* pages at and above it belong to no run */
  size_t highest_top;
  void *mapping;
  size_t mapping_bytes;
};

static struct region regions[MOST_REGIONS];
static size_t region_count;
static struct page rings[CLASSES];                           /* sentinels, without objects */
static struct page *direct[LARGEST_DIRECT / CLASS_STEP + 1]; /* first page, by size */
static struct page *bins[BINS];
static uint32_t filled_bins; /* bit i: bins[i] is not empty */

/* ---- Regions: from addresses to descriptors and back ------------------------------- */

/* Where the process may not have `wanted` addresses, half of it, and so on, down to
 * what `least` pages need. */
static bool region_add(size_t wanted, size_t least) {
  if (region_count == MOST_REGIONS) return false;
  struct region *region = &regions[region_count];
  size_t pages = wanted >> PAGE_SHIFT;
  do {
    if (pages < least) pages = least;
    size_t table_bytes = (pages + 2) * sizeof(struct page);
    region->bytes = pages << PAGE_SHIFT;
    region->mapping_bytes = table_bytes + PAGE_BYTES + region->bytes;
    region->mapping = os_reserve(region->mapping_bytes);
  } while (region->mapping == NULL && pages > least && (pages /= 2));
  if (region->mapping == NULL) return false;
  region->pages = (struct page *)region->mapping + 1;
  region->base = align_pointer((char *)(region->pages + pages + 1), PAGE_BYTES);
  region->granules = region->bytes >> GRANULE_SHIFT;
  region->top = region->highest_top = 0;
  region_count++;
  return true;
}

/* Counted from the region's base. A rotation and no shift: an address that is no
 * multiple of 16 comes out beyond all regions, as one outside them does. */
static inline size_t granule_of(const struct region *region, const void *block) {
  size_t offset = (uintptr_t)block - (uintptr_t)region->base;
  return offset >> GRANULE_SHIFT | offset << (64 - GRANULE_SHIFT);
}

static inline struct page *page_of_granule(const struct region *region, size_t granule) {
  return &region->pages[granule >> (PAGE_SHIFT - GRANULE_SHIFT)];
}

static struct page *page_in_later_region(const void *block) {
  for (struct region *region = regions + 1; region < regions + region_count; region++) {
    size_t granule = granule_of(region, block);
    if (granule < region->granules) return page_of_granule(region, granule);
  }
  return NULL;
}

/* NULL lies in no region. */
static inline struct page *page_of(const void *block) {
  size_t granule = granule_of(regions, block);
  if (granule < regions->granules) return page_of_granule(regions, granule);
  return page_in_later_region(block);
}

static char *page_address(const struct page *page) {
  const struct region *region = &regions[page->region];
  return region->base + ((size_t)(page - region->pages) << PAGE_SHIFT);
}

static size_t pages_above_top(const struct region *region) {
  return (region->bytes >> PAGE_SHIFT) - region->top;
}

static void region_set_top(struct region *region, size_t top) {
  region->top = top;
  region->pages[top].kind = UNUSED;
  if (top > region->highest_top) region->highest_top = top;
}

/* ---- Bins: the free runs ----------------------------------------------------------- */

static void run_mark(struct page *run, size_t pages, enum page_kind kind) {
  struct page *last = run + pages - 1;
  run->pages = last->pages = (uint32_t)pages;
  run->kind = last->kind = (uint8_t)kind;
  if (kind == LARGE && last != run) last->start = NULL; /* of a block that was here before */
}

static void bin_insert(struct page *run) {
  unsigned bin = log2_floor(run->pages);
  run->previous = NULL;
  run->next = bins[bin];
  if (run->next != NULL) run->next->previous = run;
  bins[bin] = run;
  filled_bins |= 1u << bin;
}

static void bin_remove(struct page *run) {
  unsigned bin = log2_floor(run->pages);
  if (run->next != NULL) run->next->previous = run->previous;
  if (run->previous != NULL) run->previous->next = run->next;
  else bins[bin] = run->next;
  if (bins[bin] == NULL) filled_bins &= ~(1u << bin);
}

/* The first that is long enough in its own bin, else one of the next larger bin. */
static struct page *bin_find(size_t pages) {
  unsigned bin = log2_floor(pages);
  for (struct page *run = bins[bin]; run != NULL; run = run->next)
    if (run->pages >= pages) return run;
  uint32_t larger = filled_bins & (~1u << bin);
  return larger == 0 ? NULL : bins[__builtin_ctz(larger)];
}

/* ---- Runs -------------------------------------------------------------------------- */

static struct page *run_cut_from_top(size_t pages) {
  struct region *region = regions;
  while (region < regions + region_count && pages_above_top(region) < pages) region++;
  if (region == regions + region_count && !region_add(reserve_bytes, pages)) return NULL;
  struct page *run = &region->pages[region->top];
  run->pages = (uint32_t)pages;
  run->region = (uint8_t)(region - regions);
  run->zeroed = region->top == region->highest_top;
  region_set_top(region, region->top + pages);
  return run;
}

static void run_free(struct page *run) {
  struct region *region = &regions[run->region];
  size_t pages = run->pages;
  run->kind = FREE_RUN; /* also where it becomes the middle of a longer run */
  run->live = run->alarm = 0;
  struct page *behind = run + pages;
  if (behind->kind == FREE_RUN) {
    bin_remove(behind);
    pages += behind->pages;
  }
  if (run[-1].kind == FREE_RUN) {
    pages += run[-1].pages;
    run -= run[-1].pages;
    bin_remove(run);
  }
  run_mark(run, pages, FREE_RUN);
  size_t first = (size_t)(run - region->pages);
  if (first + pages == region->top) region_set_top(region, first);
  else bin_insert(run);
}

/* Makes two runs of one; both are the caller's. */
static struct page *run_split(struct page *run, size_t pages) {
  struct page *rest = run + pages;
  rest->region = run->region;
  rest->zeroed = run->zeroed;
  run_mark(rest, run->pages - pages, LARGE);
  run_mark(run, pages, LARGE);
  return rest;
}

static void run_trim(struct page *run, size_t pages) {
  if (pages < run->pages) run_free(run_split(run, pages));
  run_mark(run, pages, LARGE);
}

static struct page *run_new(size_t pages) {
  if (pages > UINT32_MAX) return NULL;
  struct page *run = bin_find(pages);
  if (run == NULL) return run_cut_from_top(pages);
  bin_remove(run);
  run->zeroed = false;
  run_trim(run, pages);
  return run;
}

/* ---- Class pages and their rings --------------------------------------------------- */

/* The first page of a ring may have changed: tells it, and the table. */
static void ring_publish(unsigned class) {
  struct page *first = rings[class].next;
  first->alarm = 0;
  size_t most = class_bytes(class) / CLASS_STEP;
  size_t least = class == 0 ? 0 : class_bytes(class - 1) / CLASS_STEP + 1;
  for (size_t i = least; i <= most && i <= LARGEST_DIRECT / CLASS_STEP; i++) direct[i] = first;
}

/* At the ring's end: a page with little room must not become the first at once. */
static void ring_append(struct page *page) {
  struct page *ring = &rings[page->class];
  page->next = ring;
  page->previous = ring->previous;
  page->previous->next = page;
  ring->previous = page;
  page->alarm = 1;
  ring_publish(page->class);
}

static void ring_remove(struct page *page) {
  page->previous->next = page->next;
  page->next->previous = page->previous;
  ring_publish(page->class);
}

static inline void *object_take(struct page *page) {
  struct object *object = page->free;
  page->free = object->next;
  object->mark = NULL;
  page->live++;
  return object;
}

static inline void object_give(struct page *page, void *block) {
  struct object *object = block;
  object->next = page->free;
  object->mark = page;
  page->free = object;
}

/* Objects do not begin at the same offset in the pages of all classes (*colouring*):
 * else the first objects of each, the busiest, would fight for the same cache sets.
 * The offset is as aligned as the class. */
static struct page *class_page_new(unsigned class) {
  struct page *page = run_new(1);
  if (page == NULL) return NULL;
  size_t bytes = class_bytes(class);
  size_t colour = class * COLOUR_STEP % COLOURS_BYTES & -(bytes & -bytes);
  page->start = page_address(page) + colour;
  page->bytes = bytes;
  page->free = NULL;
  page->live = page->carved = 0;
  page->capacity = (uint32_t)((PAGE_BYTES - colour) / bytes);
  page->kind = CLASS_PAGE;
  page->class = (uint8_t)class;
  ring_append(page);
  return page;
}

/* Links the next objects of a page whose list is empty, in address order. */
static bool carve(struct page *page) {
  uint32_t count = page->bytes < CARVE_BYTES ? (uint32_t)(CARVE_BYTES / page->bytes) : 1;
  if (count > page->capacity - page->carved) count = page->capacity - page->carved;
  page->carved += count;
  char *end = page->start + page->carved * page->bytes;
  for (; count > 0; count--) object_give(page, end -= page->bytes);
  return page->free != NULL;
}

/* The ring's first page has an empty list: carve, or pass on to another page. */
static void *malloc_from_ring(unsigned class) {
  for (;;) {
    struct page *page = rings[class].next;
    if (page == &rings[class] && (page = class_page_new(class)) == NULL) return no_memory();
    if (page->free != NULL || carve(page)) return object_take(page);
    ring_remove(page);
    page->alarm = page->live;
  }
}

/* ---- Large blocks ------------------------------------------------------------------ */

static size_t pages_for(size_t size) {
  return size == 0 ? 1 : (size + PAGE_BYTES - 1) >> PAGE_SHIFT;
}

static void *large_new(size_t alignment, size_t size) {
  size_t slack = alignment > PAGE_BYTES ? (alignment >> PAGE_SHIFT) - 1 : 0;
  struct page *run = run_new(pages_for(size) + slack);
  if (run == NULL) return no_memory();
  char *start = page_address(run), *aligned = align_pointer(start, alignment);
  if (aligned != start) {
    struct page *before = run;
    run = run_split(before, (size_t)(aligned - start) >> PAGE_SHIFT);
    run_free(before);
  }
  run_trim(run, pages_for(size));
  run->start = aligned;
  run->bytes = round_up(size, BLOCK_ALIGNMENT);
  run->live = run->alarm = 1;
  return aligned;
}

/* In place: gives back pages, or takes them from behind the run if they are free. */
static bool large_resize(struct page *run, size_t size) {
  struct region *region = &regions[run->region];
  struct page *behind = run + run->pages;
  size_t pages = pages_for(size), more = pages < run->pages ? 0 : pages - run->pages;
  if (more > 0 && behind == &region->pages[region->top] && more <= pages_above_top(region)) {
    region_set_top(region, region->top + more);
    run->pages += (uint32_t)more;
  } else if (more > 0) {
    if (behind->kind != FREE_RUN || behind->pages < more) return false;
    bin_remove(behind);
    run->pages += behind->pages;
  }
  run_trim(run, pages);
  run->bytes = round_up(size, BLOCK_ALIGNMENT);
  return true;
}

/* ---- Live or not ------------------------------------------------------------------- */

static inline bool is_marked(const struct page *page, const void *block) {
  return ((const struct object *)block)->mark == page;
}

static bool is_listed(const struct page *page, const void *block) {
  const struct object *object = page->free;
  while (object != NULL && object != block) object = object->next;
  return object != NULL;
}

/* Where no run of objects or large block begins, nothing is live. */
static bool is_live(const struct page *page, const void *block) {
  if (page->kind == LARGE) return page->start == block;
  return page->live > 0 && !(is_marked(page, block) && is_listed(page, block));
}

/* Whether an object begins, or began, at the address. 32 bits: half the time. */
static bool is_object(const struct page *page, const void *block) {
  size_t offset = (uintptr_t)block - (uintptr_t)page->start;
  return offset < page->carved * page->bytes && (uint32_t)offset % (uint32_t)page->bytes == 0;
}

/* The block is not live. If one began here that is no more, it was freed. */
__attribute__((cold, noreturn)) static void refuse(const struct page *page, const void *block,
                                                   const char *when_freed) {
  bool was_block = page != NULL && page->kind != LARGE &&
                   (page->start == block || is_object(page, block));
  misuse("phase3", was_block ? when_freed : FOREIGN_POINTER, block);
}

static struct page *page_of_live(const void *block) {
  struct page *page = page_of(block);
  if (page == NULL || !is_live(page, block)) refuse(page, block, USE_AFTER_FREE);
  if (page->kind == CLASS_PAGE && !is_object(page, block)) refuse(page, block, USE_AFTER_FREE);
  return page;
}

/* ---- malloc and free --------------------------------------------------------------- */

__attribute__((noinline)) static void *malloc_slow(size_t size) {
  if (size <= LARGEST_SMALL) return malloc_from_ring(class_of(size));
  return size <= BLOCK_LIMIT ? large_new(BLOCK_ALIGNMENT, size) : no_memory();
}

static void *phase3_malloc(size_t size) {
  if (size > LARGEST_DIRECT) return malloc_slow(size);
  struct page *page = direct[(size + CLASS_STEP - 1) / CLASS_STEP];
  return page->free != NULL ? object_take(page) : malloc_slow(size);
}

/* Large blocks, a page that was full or is empty now, and whatever looks wrong. */
__attribute__((noinline)) static void free_slow(struct page *page, void *block) {
  if (block == NULL) return;
  if (page == NULL || !is_live(page, block)) refuse(page, block, DOUBLE_FREE);
  if (page->kind == LARGE) {
    run_free(page);
    return;
  }
  object_give(page, block);
  bool is_alarm = page->live-- == page->alarm;
  if (is_alarm && page->live > 0) {
    ring_append(page);
  } else if (is_alarm) {
    ring_remove(page);
    run_free(page);
  }
}

static void phase3_free(void *block) {
  struct page *page = page_of(block);
  if (page == NULL || page->live == page->alarm || is_marked(page, block)) {
    free_slow(page, block);
    return;
  }
  page->live--;
  object_give(page, block);
}

/* ---- What follows from them -------------------------------------------------------- */

static size_t phase3_usable_size(const void *block) { return page_of_live(block)->bytes; }

static void *phase3_calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  void *block = phase3_malloc(bytes);
  if (block == NULL || (bytes > LARGEST_SMALL && page_of(block)->zeroed)) return block;
  return memset(block, 0, bytes);
}

static void *phase3_realloc(void *block, size_t size) {
  if (block != NULL && size > LARGEST_SMALL && size <= BLOCK_LIMIT) {
    struct page *page = page_of_live(block);
    if (page->kind == LARGE && large_resize(page, size)) return block;
  }
  return realloc_by_copying(block, size, phase3_malloc, phase3_free, phase3_usable_size);
}

/* A class is as aligned as the sizes that are multiples of the alignment (blocks.h). */
static void *phase3_aligned_alloc(size_t alignment, size_t size) {
  if (!request_is_valid(alignment, size)) return NULL;
  size_t bytes = round_up(size < alignment ? alignment : size, alignment);
  return bytes <= LARGEST_SMALL ? phase3_malloc(bytes) : large_new(alignment, size);
}

/* ---- init and fini ----------------------------------------------------------------- */

static int phase3_init(const struct allocphase_config *config) {
  int error = settings_read(config, settings, sizeof settings / sizeof *settings);
  if (error != 0) return error;
  for (unsigned class = 0; class < CLASSES; class++) {
    rings[class].next = rings[class].previous = &rings[class];
    ring_publish(class);
  }
  return region_add(reserve_bytes, 1) ? 0 : ENOMEM;
}

static void phase3_fini(void) {
  while (region_count > 0) {
    region_count--;
    os_unmap(regions[region_count].mapping, regions[region_count].mapping_bytes);
  }
}

#include "check.h" /* phase3_check and phase3_stats */

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = phase3_init,
    .fini = phase3_fini,
    .malloc = phase3_malloc,
    .free = phase3_free,
    .calloc = phase3_calloc,
    .realloc = phase3_realloc,
    .aligned_alloc = phase3_aligned_alloc,
    .usable_size = phase3_usable_size,
    .stats = phase3_stats,
    .check = phase3_check,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}
