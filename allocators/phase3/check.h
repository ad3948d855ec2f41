/* check.h: phase3 looks at itself. A part of phase3.c, which includes it where its
 * structures are known; it walks every run and bin, and the pages and rings of the calling
 * thread's heap and of idle ones, and counts them. The heaps of other threads change meanwhile:
 * a thread that calls check looks at its own.
 */
#ifndef ALLOCPHASE_PHASE3_CHECK_H
#define ALLOCPHASE_PHASE3_CHECK_H

static bool is_at_rest(const struct heap *heap) { return heap == mine || heap->is_idle; }

static const char *class_page_check(struct page *page) {
  size_t listed = 0, remote = 0;
  for (const struct object *object = page->free; object != NULL; object = object->next) {
    size_t offset = (uintptr_t)object - (uintptr_t)page->start;
    if (offset % page->bytes != 0 || offset / page->bytes >= page->carved)
      return "a free list leaves its page";
    if (object->mark != page) return "a free object does not name its page";
    if (++listed > page->carved) return "a free list is longer than its page";
  }
  const struct object *pushed = atomic_load_explicit(&page->remote, memory_order_acquire);
  for (; pushed != NULL; pushed = pushed->next) {
    if (pushed->mark != page) return "an object on a remote list does not name its page";
    if (++remote > page->live) return "a remote list is longer than its page's live objects";
  }
  if (page->carved > page->capacity) return "a page is carved beyond its end";
  if (page->live + listed != page->carved) return "a page's objects do not add up";
  if (page->alarm > 1 && (page->live != page->capacity || page->alarm != page->live))
    return "a page out of its ring is not full";
  return page->alarm == 1 && page->live == 0 ? "an empty page was not dissolved" : NULL;
}

/* Pages where no live run begins: a free of an address in them must find nothing. */
static const char *runs_within_check(const struct page *run) {
  for (const struct page *page = run; page < run + run->pages; page++) {
    if (page->owner != NULL && (page != run || run->kind != CLASS_PAGE))
      return "a page without objects has an owner";
    if (page == run && run->kind != FREE_RUN) continue;
    if (page->kind == CLASS_PAGE || (page->kind == LARGE && page->start != NULL))
      return "a page within a run looks like the first of one";
  }
  return NULL;
}

static const char *region_check(const struct region *region, size_t *free_runs, size_t *ringed) {
  struct page *top = region->pages + region->top, *run = region->pages;
  if (top->kind != UNUSED) return "the page at top is used";
  for (; run < top; run += run->pages) {
    const struct page *last = run + run->pages - 1;
    if (run->pages == 0 || last >= top) return "a run ends beyond top";
    if (last->kind != run->kind || last->pages != run->pages) return "a run's ends differ";
    if (run->kind == UNUSED) return "a run below top is unused";
    if (run->kind == FREE_RUN && last[1].kind == FREE_RUN) return "two free runs are neighbours";
    if (run->kind == FREE_RUN && last + 1 == top) return "a free run ends at top";
    const char *fault = runs_within_check(run);
    if (fault != NULL) return fault;
    *free_runs += run->kind == FREE_RUN;
    if (run->kind != CLASS_PAGE || !is_at_rest(run->owner)) continue;
    fault = class_page_check(run);
    if (fault != NULL) return fault;
    *ringed += run->alarm <= 1;
  }
  return NULL;
}

static const char *ring_check(struct heap *heap, unsigned class, size_t *ringed) {
  const struct page *ring = &heap->rings[class];
  for (const struct page *page = ring->next; page != ring; page = page->next) {
    if (page->kind != CLASS_PAGE || page->class != class || page->owner != heap)
      return "a ring has a foreign page";
    if (page->next->previous != page) return "a ring's links differ";
    if (page->alarm != (page == ring->next ? 0 : 1)) return "a ring's alarms are wrong";
    if ((*ringed)-- == 0) return "the rings have more pages than the regions";
  }
  return NULL;
}

static const char *heap_check(struct heap *heap, size_t *ringed) {
  const char *fault = NULL;
  for (unsigned class = 0; class < CLASSES && fault == NULL; class++)
    fault = ring_check(heap, class, ringed);
  return fault;
}

static const char *bin_check(unsigned bin, size_t *free_runs) {
  for (const struct page *run = bins[bin]; run != NULL; run = run->next) {
    if (run->kind != FREE_RUN || log2_floor(run->pages) != bin) return "a run is in a wrong bin";
    if ((*free_runs)-- == 0) return "the bins have more runs than the regions";
  }
  return ((filled_bins >> bin & 1u) != 0) != (bins[bin] != NULL) ? "a bin's bit is wrong" : NULL;
}

static const char *all_check(void) {
  const char *fault = NULL;
  size_t free_runs = 0, ringed = 0;
  for (size_t i = 0; i < region_count && fault == NULL; i++)
    fault = region_check(&regions[i], &free_runs, &ringed);
  if (fault == NULL) fault = heap_check(mine, &ringed);
  for (struct heap *heap = idle; heap != NULL && fault == NULL; heap = heap->next_idle)
    fault = heap_check(heap, &ringed);
  for (unsigned bin = 0; bin < BINS && fault == NULL; bin++) fault = bin_check(bin, &free_runs);
  if (fault == NULL && (free_runs != 0 || ringed != 0)) return "a run is in no bin or ring";
  return fault;
}

static const char *phase3_check(void) {
  runs_lock();
  const char *fault = all_check();
  runs_unlock();
  return fault;
}

/* Of class pages that other threads own, a moment ago. */
static void phase3_stats(allocphase_stat_sink *sink, void *context) {
  size_t reserved = 0, cut = 0, highest = 0, runs[LARGE + 1] = {0}, live_bytes = 0;
  for (const struct region *region = regions; region < regions + region_count; region++) {
    reserved += region->bytes;
    cut += region->top;
    highest += region->highest_top;
    const struct page *top = region->pages + region->top;
    for (const struct page *run = region->pages; run < top; run += run->pages) {
      runs[run->kind]++;
      if (run->kind == LARGE) live_bytes += run->bytes;
      if (run->kind == CLASS_PAGE) live_bytes += run->live * run->bytes;
    }
  }
  sink(context, "regions", (double)region_count);
  sink(context, "reserve_bytes", (double)reserved);
  sink(context, "cut_bytes", (double)(cut * PAGE_BYTES));
  sink(context, "peak_cut_bytes", (double)(highest * PAGE_BYTES));
  sink(context, "live_bytes", (double)live_bytes);
  sink(context, "class_pages", (double)runs[CLASS_PAGE]);
  sink(context, "heaps", (double)runs[HEAP]);
  sink(context, "large_blocks", (double)runs[LARGE]);
  sink(context, "free_runs", (double)runs[FREE_RUN]);
}

#endif
