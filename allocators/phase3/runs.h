/* runs.h: where phase3's pages come from, for all threads. A part of phase3.c, which includes it.
 *
 * At init a large *region* of addresses is reserved, which costs nothing until it is touched. It
 * is divided into *pages* of 64 KiB; a *descriptor* stands for each in an array at the region's
 * beginning, so that an address yields its page's descriptor by a subtraction and a shift:
 *
 *     region | descriptors | page 0 | page 1 | ... | page top |  never used ...  |
 *
 * Consecutive pages with one purpose are a *run*:
 *
 *   class page   one page, objects of one size class, of one heap (phase3.c)
 *   heap         one page, with a heap in it
 *   large        one block above LARGEST_SMALL, from the run's first byte on; of no heap
 *   free         kept in a *bin* by the logarithm of its length, and merged with free
 *                neighbours. What ends at `top` is merged into the unused rest.
 *
 * When a region is full, one more is reserved. Memory never goes back before fini.
 *
 * Runs change hands seldom, and do so under one lock: `runs_lock`. All here that changes them
 * has to be called with it. To find a descriptor needs none.
 */
#ifndef ALLOCPHASE_PHASE3_RUNS_H
#define ALLOCPHASE_PHASE3_RUNS_H

#include <pthread.h>
#include <stdatomic.h>

#define PAGE_SHIFT 16u
#define PAGE_BYTES ((size_t)1 << PAGE_SHIFT)
#define GRANULE_SHIFT 4u /* every block begins at a granule of CLASS_STEP bytes */
#define BINS 32u         /* a run has less than 2^32 pages */
#define MOST_REGIONS 64u
#define CACHE_LINE 64

enum page_kind { UNUSED, FREE_RUN, CLASS_PAGE, HEAP, LARGE }; /* zeroed memory is UNUSED */

struct object {
  struct object *next;
  const struct page *mark;
};

_Static_assert(sizeof(struct object) <= CLASS_STEP, "the smallest object has both words");
_Static_assert(CLASS_STEP == 1u << GRANULE_SHIFT, "class_of");

/* The first line is the owner's, and is all that its malloc and free need; the second one is
 * written by other threads as well.
 * Invariants:
 *   - a run's first and last descriptor carry its kind and its length in `pages`;
 *   - no two neighbouring runs are free, none ends at top, kind[top] is UNUSED;
 *   - a class page has an owner, and no other page has;
 *   - class page: live + length of the free list = carved <= capacity; what lies on `remote` is
 *     live until its owner takes it over;
 *   - a ring's first page: alarm = 0, since it stays when it is empty;
 *   - other pages of a ring: alarm = 1, and live > 0;
 *   - a full page: in no ring, alarm = live = capacity, which is more than 1;
 *   - only a run's first page has a kind and a start that fit together. */
struct page {
  struct object *free;
  uint32_t live;
  uint32_t alarm; /* free takes the slow path when live is this */
  struct heap *owner;
  char *start;  /* of the first object, or of the large block */
  size_t bytes; /* of an object, or of the large block */
  uint32_t carved;
  uint32_t capacity;
  struct page *next; /* in a ring or in a bin */
  struct page *previous;

  _Alignas(CACHE_LINE) _Atomic(struct object *) remote; /* freed by other threads */
  struct page *next_pending; /* of those with a `remote` list that is not empty */
  uint32_t pages;
  uint8_t kind;
  uint8_t class;
  uint8_t region;
  bool zeroed; /* large: this memory was never used before */
};

_Static_assert(sizeof(struct page) == 2 * CACHE_LINE, "two cache lines");
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

static struct region regions[MOST_REGIONS]; /* what tells addresses apart never changes again */
static atomic_size_t region_count;
static struct page *bins[BINS];
static uint32_t filled_bins; /* bit i: bins[i] is not empty */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void runs_lock(void) { pthread_mutex_lock(&mutex); }
static void runs_unlock(void) { pthread_mutex_unlock(&mutex); }

/* ---- Regions: from addresses to descriptors and back ------------------------------- */

/* Where the process may not have `wanted` addresses, half of it, and so on, down to
 * what `least` pages need. */
static bool region_add(size_t wanted, size_t least) {
  size_t count = region_count;
  if (count == MOST_REGIONS) return false;
  struct region *region = &regions[count];
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
  region_count = count + 1; /* from now on others look there */
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
  const struct region *end = regions + atomic_load_explicit(&region_count, memory_order_acquire);
  for (struct region *region = regions + 1; region < end; region++) {
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
  run->owner = NULL;
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

#endif
