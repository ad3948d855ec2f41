/* phase3: size-class pages in one reserve, a heap for each thread. No header, no search, no
 * system call; a lock for new pages and large blocks alone.
 *
 * Memory is divided into *pages* of 64 KiB, and an address yields its page's descriptor by a
 * subtraction and a shift (runs.h). A *class page* has objects of one *size class*; its free
 * objects are linked through their own first word, last in first out, so that the memory handed
 * out is the memory used most recently.
 *
 * A *heap* is one thread's. It owns class pages; those that have room form a *ring* for each
 * class, around a sentinel. malloc takes from the first page of its thread's ring; free gives
 * back to the page that the address names. Both touch one descriptor and one object, whatever
 * is live:
 *
 *     malloc   page = first page of the class in my heap; object = page->free, unlinked
 *     free     page = descriptor of the address, and mine; object linked to page->free
 *
 * All else is rare: a list is empty, a page fills up, a full page gets room, a page becomes
 * empty. free tells the last two from the common case by one comparison of the live objects
 * with the page's *alarm*, and pages of others, and large blocks, by the page's owner.
 *
 * Another thread's object. Nobody but the owner touches a page's free list. A thread that frees
 * an object of another's page pushes it on the page's *remote* list; whoever pushes the first
 * one also puts the page on its heap's *pending* list:
 *
 *     heap -> pending -> page -> page          each by one compare-and-swap
 *                         |        |
 *                      remote   remote -> object -> object
 *
 * The owner *drains* them when a list of its own is empty, before it looks for memory elsewhere:
 * it takes each list whole, by one exchange, so that no thread ever pops and there is no ABA
 * problem. A page is put on `pending` once: only by who found `remote` empty, and it is not
 * empty again before the owner has taken the page off.
 *
 *     thread B                               thread A (owner)
 *     X on P.remote, which was empty
 *     P on A's pending
 *     Y on P.remote: X is there
 *                                            pending = exchange(NULL): {P}
 *     Z on P.remote
 *                                            P.remote = exchange(NULL): {Z, Y, X}, to P.free
 *     V on P.remote, which was empty
 *     P on A's pending
 *
 * When a thread ends its heap is *idle*, pages and all: the next thread without one takes it
 * over as it is, so owners never change. What is freed to an idle heap meanwhile another thread
 * drains when it needs a page. After fork the child has its own heap; those of other threads
 * were perhaps in the middle of a change, and stay as they are.
 *
 * A block that is freed twice, and an address that was never handed out, end the process with a
 * message. The second word of a free object, its *mark*, names its page; malloc wipes it. A
 * block with such a mark is looked for on the page's lists before it is called free, since a
 * program may have written the same: it may copy what earlier objects left in its memory. Where
 * the page is another thread's the block is a *suspect*, which the owner judges when it drains.
 * An address that is no multiple of 16 lies in no page. All this is found in the two cache lines
 * that free needs, and takes 3 to 4% of a churn. Not found is the free of an address within an
 * object that is such a multiple: to divide by the object's size, by a stored reciprocal, took
 * as much again.
 *
 * Objects join the free list a few at a time (*carving*), so that a page's memory is not touched
 * before it is needed.
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

#include "runs.h"

#define LARGEST_SMALL ((size_t)16384) /* at least three objects in a page */
#define CLASSES 36u                   /* class_of(LARGEST_SMALL) + 1 */
#define LARGEST_DIRECT ((size_t)1024) /* class found in a table; above, computed */
#define CARVE_BYTES ((size_t)4096)
#define COLOUR_STEP ((size_t)320)
#define COLOURS_BYTES ((size_t)4096) /* the sets of a first cache repeat at this distance */

static void *phase3_malloc(size_t size);
static void phase3_free(void *block);

/* ---- Heaps ------------------------------------------------------------------------- */

struct heap {
  struct page *direct[LARGEST_DIRECT / CLASS_STEP + 1]; /* first page, by size */
  struct page rings[CLASSES];                           /* sentinels, without objects */
  _Alignas(CACHE_LINE) _Atomic(struct page *) pending;
  _Atomic(struct suspect *) suspects;
  struct heap *next_idle; /* these two under the lock */
  bool is_idle;
};

_Static_assert(sizeof(struct heap) <= PAGE_BYTES, "a heap is a page");

static struct heap nobody; /* of threads that have none: without pages, so that nothing is found */
static struct heap *idle;  /* of ended threads; the one that ended last comes first */

/* Initial-exec: read as fast as a static variable, not through a call. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct heap *mine = &nobody;

/* The first page of a ring may have changed: tells it, and the table. */
static void ring_publish(struct heap *heap, unsigned class) {
  struct page *first = heap->rings[class].next;
  first->alarm = 0;
  size_t most = class_bytes(class) / CLASS_STEP;
  size_t least = class == 0 ? 0 : class_bytes(class - 1) / CLASS_STEP + 1;
  for (size_t i = least; i <= most && i <= LARGEST_DIRECT / CLASS_STEP; i++)
    heap->direct[i] = first;
}

static void heap_clear(struct heap *heap) {
  for (unsigned class = 0; class < CLASSES; class++) {
    heap->rings[class].next = heap->rings[class].previous = &heap->rings[class];
    ring_publish(heap, class);
  }
}

/* Fresh memory and memory of a class page alike. */
static struct heap *heap_make(void) {
  struct page *run = run_new(1);
  if (run == NULL) return NULL;
  run->kind = HEAP;
  run->start = NULL;
  struct heap *heap = (struct heap *)page_address(run);
  memset(heap, 0, sizeof *heap);
  heap_clear(heap);
  return heap;
}

/* The thread's own, or NULL: no memory. */
static struct heap *heap_of_thread(void) {
  if (mine != &nobody) return mine;
  runs_lock();
  struct heap *heap = idle;
  if (heap != NULL) idle = heap->next_idle;
  else heap = heap_make();
  if (heap != NULL) heap->is_idle = false;
  runs_unlock();
  if (heap != NULL) mine = heap;
  return heap;
}

static void heap_leave(struct heap *heap) {
  runs_lock();
  heap->is_idle = true;
  heap->next_idle = idle;
  idle = heap;
  runs_unlock();
}

/* ---- Class pages and their rings --------------------------------------------------- */

/* At the ring's end: a page with little room must not become the first at once. */
static void ring_append(struct page *page) {
  struct page *ring = &page->owner->rings[page->class];
  page->next = ring;
  page->previous = ring->previous;
  page->previous->next = page;
  ring->previous = page;
  page->alarm = 1;
  ring_publish(page->owner, page->class);
}

static void ring_remove(struct page *page) {
  page->previous->next = page->next;
  page->next->previous = page->previous;
  ring_publish(page->owner, page->class);
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

static inline bool is_marked(const struct page *page, const void *block) {
  return ((const struct object *)block)->mark == page;
}

/* Objects do not begin at the same offset in the pages of all classes (*colouring*):
 * else the first objects of each, the busiest, would fight for the same cache sets.
 * The offset is as aligned as the class. */
static void class_page_prepare(struct page *page, struct heap *heap, unsigned class) {
  size_t bytes = class_bytes(class);
  size_t colour = class * COLOUR_STEP % COLOURS_BYTES & -(bytes & -bytes);
  page->start = page_address(page) + colour;
  page->bytes = bytes;
  page->free = NULL;
  page->live = page->carved = 0;
  page->capacity = (uint32_t)((PAGE_BYTES - colour) / bytes);
  page->kind = CLASS_PAGE;
  page->class = (uint8_t)class;
  page->owner = heap;
}

static struct page *class_page_new(struct heap *heap, unsigned class) {
  runs_lock();
  struct page *page = run_new(1);
  if (page != NULL) class_page_prepare(page, heap, class);
  runs_unlock();
  if (page != NULL) ring_append(page);
  return page;
}

static void class_page_dissolve(struct page *page) {
  ring_remove(page);
  runs_lock();
  run_free(page);
  runs_unlock();
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

/* By the owner, whatever this does to the page. */
static void object_return(struct page *page, void *block) {
  object_give(page, block);
  if (page->live-- != page->alarm) return;
  if (page->live > 0) ring_append(page);
  else class_page_dissolve(page);
}

/* ---- Objects of other threads' pages ----------------------------------------------- */

static void page_is_pending(struct page *page) {
  struct page *first = atomic_load_explicit(&page->owner->pending, memory_order_relaxed);
  do page->next_pending = first;
  while (!atomic_compare_exchange_weak_explicit(&page->owner->pending, &first, page,
                                                memory_order_release, memory_order_relaxed));
}

/* Release: what this thread did with the object comes before what the owner does with it.
 * Acquire: the owner is done with next_pending, which whoever finds the list empty writes. */
static void object_push(struct page *page, struct object *object) {
  struct object *first = atomic_load_explicit(&page->remote, memory_order_relaxed);
  object->mark = page;
  do object->next = first;
  while (!atomic_compare_exchange_weak_explicit(&page->remote, &first, object,
                                                memory_order_acq_rel, memory_order_relaxed));
  if (first == NULL) page_is_pending(page);
}

/* A list longer than the page's live objects has one of them twice: two threads freed it at
 * the same time. */
static void page_drain(struct page *page) {
  struct object *object = atomic_exchange_explicit(&page->remote, NULL, memory_order_acq_rel);
  while (object != NULL) {
    struct object *next = object->next;
    if (page->owner == NULL || page->live == 0) misuse("phase3", DOUBLE_FREE, object);
    object_return(page, object);
    object = next;
  }
}

/* A block that another thread frees, and that looks as if it were free. */
struct suspect {
  struct suspect *next;
  void *block;
};

static bool is_on(const struct object *object, const void *block) {
  while (object != NULL && object != block) object = object->next;
  return object != NULL;
}

static bool is_listed(struct page *page, const void *block) {
  return is_on(page->free, block) ||
         is_on(atomic_load_explicit(&page->remote, memory_order_acquire), block);
}

static void suspects_judge(struct heap *heap) {
  struct suspect *suspect = atomic_exchange_explicit(&heap->suspects, NULL, memory_order_acquire);
  while (suspect != NULL) {
    struct suspect *next = suspect->next;
    void *block = suspect->block;
    struct page *page = page_of(block);
    if (page->owner != heap || page->live == 0 || is_listed(page, block))
      misuse("phase3", DOUBLE_FREE, block);
    object_return(page, block);
    phase3_free(suspect);
    suspect = next;
  }
}

static void suspect_push(struct heap *heap, void *block) {
  struct suspect *suspect = phase3_malloc(sizeof *suspect);
  if (suspect == NULL) return; /* the block stays */
  suspect->block = block;
  suspect->next = atomic_load_explicit(&heap->suspects, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&heap->suspects, &suspect->next, suspect,
                                                memory_order_release, memory_order_relaxed))
    ;
  if (heap == mine) suspects_judge(heap); /* it was idle: the malloc here took it over */
}

/* By its owner, or by who has it to himself. */
static void heap_drain(struct heap *heap) {
  suspects_judge(heap);
  struct page *page = atomic_exchange_explicit(&heap->pending, NULL, memory_order_acquire);
  while (page != NULL) {
    struct page *next = page->next_pending;
    page_drain(page);
    page = next;
  }
}

static bool is_pending(struct heap *heap) {
  return atomic_load_explicit(&heap->pending, memory_order_relaxed) != NULL ||
         atomic_load_explicit(&heap->suspects, memory_order_relaxed) != NULL;
}

/* One of them at a time. Taken off the list, it is this thread's meanwhile. */
static void idle_heap_drain(void) {
  runs_lock();
  struct heap **link = &idle;
  while (*link != NULL && !is_pending(*link)) link = &(*link)->next_idle;
  struct heap *heap = *link;
  if (heap != NULL) {
    *link = heap->next_idle;
    heap->is_idle = false;
  }
  runs_unlock();
  if (heap == NULL) return;
  heap_drain(heap);
  heap_leave(heap);
}

/* The ring's first page has an empty list: carve, or pass on to another page. */
static void *malloc_from_ring(unsigned class) {
  struct heap *heap = heap_of_thread();
  if (heap == NULL) return no_memory();
  if (is_pending(heap)) heap_drain(heap);
  for (;;) {
    struct page *page = heap->rings[class].next;
    if (page == &heap->rings[class]) {
      idle_heap_drain();
      page = class_page_new(heap, class);
      if (page == NULL) return no_memory();
    }
    if (page->free != NULL || carve(page)) return object_take(page);
    ring_remove(page);
    page->alarm = page->live;
  }
}

/* ---- Large blocks ------------------------------------------------------------------ */

static size_t pages_for(size_t size) {
  return size == 0 ? 1 : (size + PAGE_BYTES - 1) >> PAGE_SHIFT;
}

static void *large_cut(size_t alignment, size_t size) {
  size_t slack = alignment > PAGE_BYTES ? (alignment >> PAGE_SHIFT) - 1 : 0;
  struct page *run = run_new(pages_for(size) + slack);
  if (run == NULL) return NULL;
  char *start = page_address(run), *aligned = align_pointer(start, alignment);
  if (aligned != start) {
    struct page *before = run;
    run = run_split(before, (size_t)(aligned - start) >> PAGE_SHIFT);
    run_free(before);
  }
  run_trim(run, pages_for(size));
  run->start = aligned;
  run->bytes = round_up(size, BLOCK_ALIGNMENT);
  return aligned;
}

static void *large_new(size_t alignment, size_t size) {
  runs_lock();
  void *block = large_cut(alignment, size);
  runs_unlock();
  return block == NULL ? no_memory() : block;
}

/* In place: gives back pages, or takes them from behind the run if they are free. */
static bool run_resize(struct page *run, size_t size) {
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

static bool large_resize(struct page *run, size_t size) {
  runs_lock();
  bool is_resized = run_resize(run, size);
  runs_unlock();
  return is_resized;
}

/* ---- Live or not ------------------------------------------------------------------- */

static bool is_foreign(const struct page *page) {
  return page->owner != NULL && page->owner != mine;
}

/* Where no run of objects or large block begins, nothing is live. */
static bool is_live(struct page *page, const void *block) {
  if (page->kind == LARGE) return page->start == block;
  if (is_foreign(page)) return true; /* as far as this thread can tell */
  return page->owner != NULL && page->live > 0 &&
         !(is_marked(page, block) && is_listed(page, block));
}

/* Whether an object begins, or began, at the address. 32 bits: half the time. */
static bool is_object(const struct page *page, const void *block) {
  size_t offset = (uintptr_t)block - (uintptr_t)page->start;
  size_t count = is_foreign(page) ? page->capacity : page->carved;
  return offset < count * page->bytes && (uint32_t)offset % (uint32_t)page->bytes == 0;
}

/* The block is not live. If one began here that is no more, it was freed. */
__attribute__((cold, noreturn)) static void refuse(const struct page *page, const void *block,
                                                   const char *when_freed) {
  bool was_block = page != NULL && page->kind != LARGE && page->kind != HEAP &&
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
  struct page *page = mine->direct[(size + CLASS_STEP - 1) / CLASS_STEP];
  return page->free != NULL ? object_take(page) : malloc_slow(size);
}

static void free_large(struct page *run, void *block) {
  runs_lock();
  if (run->kind != LARGE || run->start != block) refuse(run, block, DOUBLE_FREE);
  run_free(run);
  runs_unlock();
}

/* Another's page, large blocks, a page that was full or is empty now, and whatever looks
 * wrong. */
__attribute__((noinline)) static void free_slow(struct page *page, void *block) {
  if (block == NULL) return;
  if (page == NULL) refuse(page, block, DOUBLE_FREE);
  if (page->owner == NULL) {
    free_large(page, block);
    return;
  }
  if (!is_live(page, block)) refuse(page, block, DOUBLE_FREE);
  if (page->owner == mine) object_return(page, block);
  else if (is_marked(page, block)) suspect_push(page->owner, block);
  else object_push(page, block);
}

/* NULL, too, lies in no region. */
__attribute__((noinline)) static void free_beyond_first_region(void *block) {
  free_slow(page_in_later_region(block), block);
}

static void phase3_free(void *block) {
  size_t granule = granule_of(regions, block);
  if (granule >= regions->granules) {
    free_beyond_first_region(block);
    return;
  }
  struct page *page = page_of_granule(regions, granule);
  if (page->owner != mine || page->live == page->alarm || is_marked(page, block)) {
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

/* ---- Threads, init and fini --------------------------------------------------------- */

static void phase3_thread_stop(void) {
  struct heap *heap = mine;
  if (heap == &nobody) return;
  heap_drain(heap);
  mine = &nobody;
  heap_leave(heap);
}

static int phase3_init(const struct allocphase_config *config) {
  int error = settings_read(config, settings, sizeof settings / sizeof *settings);
  if (error == 0) error = pthread_atfork(runs_lock, runs_unlock, runs_unlock);
  if (error != 0) return error;
  heap_clear(&nobody);
  return region_add(reserve_bytes, 1) ? 0 : ENOMEM;
}

static void phase3_fini(void) {
  mine = &nobody;
  idle = NULL;
  while (region_count > 0) {
    const struct region *region = &regions[--region_count];
    os_unmap(region->mapping, region->mapping_bytes);
  }
}

#include "check.h" /* phase3_check and phase3_stats */

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .flags = ALLOCPHASE_THREAD_SAFE,
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
    .thread_stop = phase3_thread_stop,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}
