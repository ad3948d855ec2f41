/* touched.c: liballocphase-touched.so, a preload that knows which pages of a block were touched.
 *
 *     LD_PRELOAD=/path/liballocphase-recorder.so:/path/liballocphase-touched.so
 *
 * A block of a page or more gets pages of its own that nobody has touched since the kernel gave
 * them: those that are resident when it is freed are those that the program touched. The kernel
 * tells so of a process's own memory (mincore), without /proc and without rights; one that takes
 * everything for resident, as that of some sandboxes, is found out at the start, and then nothing
 * is told. Smaller blocks are for whoever comes behind.
 *
 *     region    | block | free block | block |        never used              |
 *
 * One reserve of addresses. A block is a run of whole pages; their numbers are rounded up to an
 * eighth of a power of two, and a freed run is used again by the next of its number, last in first
 * out. What is known of a run stands in a table beside, at its first page: a header in the block
 * would touch it.
 *
 * A page that is only read counts as touched, and so does one that the kernel writes for the
 * program; one that was swapped out does not. Blocks at multiples of more than a page, and those
 * that no address was left for, are served by who comes behind, and nothing is known of them.
 *
 * This is slow, a system call or two a block, and no allocator: it is for learning what is
 * touched, in a run of its own.
 */
#include "preload/touched.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/lock.h"
#include "preload/bootstrap.h"
#include "preload/exported.h"

/* ---- Runs of pages -------------------------------------------------------------------------- */

#define MOST_BYTES ((size_t)1 << 40)
#define LEAST_BYTES ((size_t)1 << 30)
#define CLASSES 512u
#define PAGES_A_LOOK 4096u

struct run {
  uint32_t next;  /* of the same class: its first page; 0: none */
  uint32_t pages; /* 0: no run begins here */
  size_t size;    /* asked for; 0: it is free */
};

static size_t page_bytes;
static uintptr_t region;          /* 0: there is none */
static uint32_t page_count, used; /* page 0 is nobody's */
static struct run *runs;          /* by the number of its first page */
static uint32_t free_runs[CLASSES];
static uint32_t lock;

static bool region_contains(const void *block) {
  return (uintptr_t)block - region < (size_t)page_count * page_bytes && region != 0;
}

static uint32_t page_of(const void *block) {
  return (uint32_t)(((uintptr_t)block - region) / page_bytes);
}

static char *page_at(uint32_t page) { return (char *)region + (size_t)page * page_bytes; }

/* Of what is asked of mincore: which pages from there on are resident. */
static bool look(const char *start, uint32_t pages, unsigned char *resident) {
  int error = errno;
  bool is_told = mincore((void *)(uintptr_t)start, pages * page_bytes, resident) == 0;
  errno = error;
  return is_told;
}

static void *reserve(size_t bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  return start == MAP_FAILED ? NULL : start;
}

/* Whether the kernel tells a touched page from another. */
static bool kernel_tells(char *pages) {
  unsigned char resident[2] = {0, 1};
  *(volatile char *)pages = 1;
  return look(pages, 2, resident) && (resident[0] & 1) != 0 && (resident[1] & 1) == 0;
}

/* A huge page would be touched as a whole by its first byte. */
static void region_open(void) {
  page_bytes = (size_t)sysconf(_SC_PAGESIZE);
  char *start = NULL;
  size_t bytes = MOST_BYTES;
  while (bytes >= LEAST_BYTES && (start = reserve(bytes)) == NULL) bytes /= 2;
  if (start == NULL) return;
  madvise(start, bytes, MADV_NOHUGEPAGE);
  madvise(start, bytes, MADV_DONTDUMP);
  runs = reserve(bytes / page_bytes * sizeof *runs);
  if (runs == NULL || !kernel_tells(start)) {
    munmap(start, bytes);
    return;
  }
  page_count = (uint32_t)(bytes / page_bytes);
  used = 1;
  __atomic_store_n(&region, (uintptr_t)start, __ATOMIC_RELEASE);
}

/* Rounds up: up to 8 pages exactly, then 8 steps each time that it doubles. */
static uint32_t class_of(uint32_t *pages) {
  if (*pages <= 8) return *pages - 1;
  unsigned shift = 31 - (unsigned)__builtin_clz(*pages - 1) - 3;
  uint32_t steps = ((*pages - 1) >> shift) + 1; /* 9 to 16 */
  *pages = steps << shift;
  return 8 * shift + steps - 1;
}

/* Under the lock. 0: no address is left. */
static uint32_t run_take(uint32_t pages, size_t size) {
  uint32_t rounded = pages, class = class_of(&rounded), page = free_runs[class];
  if (page != 0) {
    free_runs[class] = runs[page].next;
  } else {
    if (page_count - used < rounded) return 0;
    page = used;
    used += rounded;
  }
  runs[page] = (struct run){.pages = rounded, .size = size};
  return page;
}

/* A block of `size` bytes that nobody has touched, or NULL. */
static void *run_new(size_t size) {
  if (region == 0 || size < page_bytes || size > (size_t)page_count * page_bytes / 4) return NULL;
  lock_take(&lock);
  uint32_t page = run_take((uint32_t)((size + page_bytes - 1) / page_bytes), size);
  lock_drop(&lock);
  return page == 0 ? NULL : page_at(page);
}

static void run_free(void *block) {
  int error = errno;
  uint32_t page = page_of(block), pages = runs[page].pages;
  madvise(block, pages * page_bytes, MADV_DONTNEED);
  lock_take(&lock);
  runs[page].size = 0;
  uint32_t *first = &free_runs[class_of(&pages)];
  runs[page].next = *first;
  *first = page;
  lock_drop(&lock);
  errno = error;
}

/* Calls `with` for each page of a block that is resident, `bytes` of which are the block's. False:
 * the kernel did not say. */
typedef void with_page(void *context, size_t at, size_t bytes);

static bool for_resident(const char *block, size_t size, with_page *with, void *context) {
  unsigned char resident[PAGES_A_LOOK];
  for (size_t at = 0; at < size;) {
    size_t pages = (size - at + page_bytes - 1) / page_bytes;
    if (pages > PAGES_A_LOOK) pages = PAGES_A_LOOK;
    if (!look(block + at, (uint32_t)pages, resident)) return false;
    for (size_t i = 0; i < pages; i++, at += page_bytes)
      if (resident[i] & 1) with(context, at, size - at < page_bytes ? size - at : page_bytes);
  }
  return true;
}

static void add_bytes(void *context, size_t at, size_t bytes) {
  (void)at;
  *(size_t *)context += bytes;
}

struct copying {
  char *to;
  const char *from;
};

static void copy_page(void *context, size_t at, size_t bytes) {
  const struct copying *copying = context;
  memcpy(copying->to + at, copying->from + at, bytes);
}

/* ---- For the recorder ------------------------------------------------------------------------ */

EXPORTED bool allocphase_touched_bytes(const void *block, size_t *bytes) {
  if (!region_contains(block)) return false;
  *bytes = 0;
  return for_resident(block, runs[page_of(block)].size, add_bytes, bytes);
}

EXPORTED void allocphase_touched_all(touched_tell *tell) {
  for (uint32_t page = 1; page < __atomic_load_n(&used, __ATOMIC_RELAXED);) {
    size_t bytes = 0;
    struct run run = runs[page];
    if (run.pages == 0) return; /* being taken */
    if (run.size != 0 && for_resident(page_at(page), run.size, add_bytes, &bytes))
      tell(page_at(page), bytes);
    page += run.pages;
  }
}

/* ---- Who comes behind ------------------------------------------------------------------------ */

static struct {
  void *(*malloc)(size_t size);
  void *(*calloc)(size_t count, size_t size);
  void *(*realloc)(void *block, size_t size);
  void (*free)(void *block);
  int (*posix_memalign)(void **result, size_t alignment, size_t size);
  size_t (*malloc_usable_size)(void *block);
  bool ready;
} behind;

#define LOOK_UP(name) *(void **)(void *)&behind.name = dlsym(RTLD_NEXT, #name)

static void before_fork(void) {
  lock_take(&lock);
  bootstrap_before_fork();
}

static void after_fork(void) {
  bootstrap_after_fork();
  lock_drop(&lock);
}

/* By the first call, before there is a second thread; what the look-up itself asks for is the
 * bootstrap's. */
static bool prepare(void) {
  static bool begun;
  if (__atomic_exchange_n(&begun, true, __ATOMIC_ACQ_REL)) return behind.ready;
  int error = errno;
  LOOK_UP(malloc);
  LOOK_UP(calloc);
  LOOK_UP(realloc);
  LOOK_UP(free);
  LOOK_UP(posix_memalign);
  LOOK_UP(malloc_usable_size);
  region_open();
  pthread_atfork(before_fork, after_fork, after_fork);
  errno = error;
  __atomic_store_n(&behind.ready, true, __ATOMIC_RELEASE);
  return true;
}

static bool is_ready(void) {
  return __builtin_expect(__atomic_load_n(&behind.ready, __ATOMIC_ACQUIRE), 1) || prepare();
}

/* ---- Blocks of either kind -------------------------------------------------------------------- */

/* By functions of their own: a call by a name of malloc's family would be the recorder's. */
static void *block_new(size_t size) {
  if (!is_ready()) return bootstrap_new(0, size);
  void *block = run_new(size);
  return block != NULL ? block : behind.malloc(size);
}

static void block_free(void *block) {
  if (region_contains(block)) run_free(block);
  else if (bootstrap_contains(block)) bootstrap_free(block);
  else if (block != NULL && is_ready()) behind.free(block);
}

static size_t block_usable(void *block) {
  if (block == NULL) return 0;
  if (region_contains(block)) return runs[page_of(block)].size;
  if (bootstrap_contains(block)) return bootstrap_usable_size(block);
  return is_ready() && behind.malloc_usable_size != NULL ? behind.malloc_usable_size(block) : 0;
}

/* In its place, as long as the pages suffice; what was beyond its end is as new when it grows. */
static bool is_resized_in_place(void *block, size_t size) {
  struct run *run = &runs[page_of(block)];
  uint32_t pages = (uint32_t)((size + page_bytes - 1) / page_bytes);
  if (size < page_bytes || size > run->pages * page_bytes) return false;
  if (pages * page_bytes < run->size)
    madvise((char *)block + pages * page_bytes, (run->pages - pages) * page_bytes, MADV_DONTNEED);
  run->size = size;
  return true;
}

/* Touches nothing but what was touched. */
static void *block_move(void *block, size_t size) {
  size_t had = block_usable(block), kept = had < size ? had : size;
  void *moved = block_new(size);
  if (moved == NULL) return NULL;
  struct copying copying = {moved, block};
  bool is_sparse = region_contains(block) && region_contains(moved);
  if (!is_sparse || !for_resident(block, kept, copy_page, &copying)) memcpy(moved, block, kept);
  block_free(block);
  return moved;
}

static void *block_resize(void *block, size_t size) {
  if (block == NULL) return block_new(size);
  if (region_contains(block)) {
    if (size > 0) return is_resized_in_place(block, size) ? block : block_move(block, size);
    block_free(block);
    return NULL;
  }
  if (bootstrap_contains(block)) return block_move(block, size);
  bool grows_to_pages = region != 0 && size >= page_bytes && behind.malloc_usable_size != NULL;
  return grows_to_pages ? block_move(block, size) : behind.realloc(block, size);
}

static int block_aligned(void **result, size_t alignment, size_t size) {
  if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
  if (!is_ready()) return (*result = bootstrap_new(alignment, size)) == NULL ? ENOMEM : 0;
  void *block = alignment <= page_bytes ? run_new(size) : NULL;
  if (block == NULL) return behind.posix_memalign(result, alignment, size);
  *result = block;
  return 0;
}

/* At a multiple of less than a pointer's size it is at one of that. */
static void *block_aligned_or_null(size_t alignment, size_t size) {
  void *block = NULL;
  size_t least = alignment < sizeof(void *) ? sizeof(void *) : alignment;
  int error = block_aligned(&block, least, size);
  if (error == 0) return block;
  errno = error;
  return NULL;
}

/* ---- What programs call ----------------------------------------------------------------------- */

EXPORTED void *malloc(size_t size) { return block_new(size); }
EXPORTED void free(void *block) { block_free(block); }
EXPORTED void *realloc(void *block, size_t size) { return block_resize(block, size); }
EXPORTED size_t malloc_usable_size(void *block) { return block_usable(block); }

/* Of pages that nobody has touched the zeroes are there. */
EXPORTED void *calloc(size_t count, size_t size) {
  size_t bytes;
  bool is_beyond = __builtin_mul_overflow(count, size, &bytes);
  if (!is_ready()) return is_beyond ? NULL : bootstrap_new(0, bytes);
  void *block = is_beyond ? NULL : run_new(bytes);
  return block != NULL ? block : behind.calloc(count, size);
}

EXPORTED int posix_memalign(void **result, size_t alignment, size_t size) {
  return block_aligned(result, alignment, size);
}

EXPORTED void *memalign(size_t alignment, size_t size) {
  return block_aligned_or_null(alignment, size);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size) {
  return block_aligned_or_null(alignment, size);
}

EXPORTED void *valloc(size_t size) {
  return block_aligned_or_null((size_t)sysconf(_SC_PAGESIZE), size);
}

EXPORTED void *pvalloc(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return block_aligned_or_null(page, (size + page - 1) / page * page);
}

/* Those that call free in libc, if it has them: it is not theirs to know. */
EXPORTED void cfree(void *block);
EXPORTED void cfree(void *block) { block_free(block); }

EXPORTED void free_sized(void *block, size_t size);
EXPORTED void free_sized(void *block, size_t size) {
  (void)size;
  block_free(block);
}

EXPORTED void free_aligned_sized(void *block, size_t alignment, size_t size);
EXPORTED void free_aligned_sized(void *block, size_t alignment, size_t size) {
  (void)alignment;
  (void)size;
  block_free(block);
}
