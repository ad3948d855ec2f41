/* calls.c: liballocphase-recorder.so, a preload that writes down every call of malloc.
 *
 *     LD_PRELOAD=/path/liballocphase-recorder.so[:/path/of/an/allocator.so]
 *     ALLOCPHASE_RECORDER=/proc/1234/fd/5       the arena of `allocphase-recorder`
 *
 * Programs that it starts inherit both and are recorded alike. Each call goes on to whichever
 * allocator comes behind, with the same arguments: no block gets a header, no size is changed.
 * Without an arena calls go through and nothing is written.
 *
 * A free is written down before the call and an allocation after it, so that of one address the
 * death always stands before the next birth; realloc, which is both, has an event on either side.
 *
 * Read on in this order:
 *
 *     calls.c       what C programs call
 *     operators.c   what C++ programs call: new and delete
 *     threads.c     pthread_create and pthread_join
 *     next.h        the functions behind
 *     lane.h        where a thread writes, and what happens when it has no room
 *     image.h       the process in the arena: start, fork
 *     arena.h       the memory that is shared with the drainer
 *     event.h       what is written
 *     drainer/      what reads it
 *
 * What is asked for before the functions behind can be found is served from memory of our own
 * (preload/bootstrap.h) and counted; mostly nobody asks.
 */
#include "recorder/calls.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "preload/bootstrap.h"
#include "recorder/image.h"
#include "recorder/lane.h"

/* ---- The beginning ------------------------------------------------------------------------- */

bool calls_prepare(void) {
  if (next.ready) return true;
  int error = errno;
  bool found = next_find();
  if (found && image_open()) lane_prepare();
  errno = error;
  return found;
}

/* Before main, also in a program that never calls: it was seen then. */
__attribute__((constructor)) static void begin(void) {
  if (calls_prepare()) lane_begin();
}

/* ---- What is written ----------------------------------------------------------------------- */

static unsigned log2_of(size_t alignment) {
  return alignment == 0 ? 0 : (unsigned)__builtin_ctzll(alignment);
}

/* An operator that calls malloc is the entry that the program called. */
static inline unsigned entered(unsigned entry) {
  unsigned hint = caller.hint;
  if (__builtin_expect(hint == 0, 1)) return entry;
  caller.hint = 0;
  return hint;
}

static inline void *born(unsigned entry, const void *block, size_t size, size_t alignment,
                         size_t extra) {
  unsigned kind = block != NULL ? KIND_ALLOCATION : KIND_FAILED;
  lane_append(event_name(kind, entry, log2_of(alignment), (uintptr_t)block), size, extra);
  return (void *)(uintptr_t)block;
}

static inline void dies(unsigned entry, const void *block, size_t size, size_t alignment) {
  lane_append(event_name(KIND_FREE, entry, log2_of(alignment), (uintptr_t)block), size, 0);
}

/* What the program does of its own accord with a block from before the beginning is not seen:
 * the allocator behind never had it. */
static inline bool is_ours(const void *block) { return bootstrap_contains(block); }

/* Whether operators.c has written it down. */
static inline bool is_written(const void *block) {
  if (__builtin_expect(caller.freed != (uintptr_t)block + 1, 1)) return false;
  caller.freed = 0;
  return true;
}

static size_t product(size_t count, size_t size) {
  size_t bytes;
  return __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes;
}

static void *no_memory(void) {
  errno = ENOMEM;
  return NULL;
}

/* ---- ISO C --------------------------------------------------------------------------------- */

RECORDED void *malloc(size_t size) {
  if (!calls_are_ready()) return bootstrap_new(0, size);
  void *block = next.malloc(size);
  return born(entered(ENTRY_MALLOC), block, size, 0, 0);
}

static void release(unsigned entry, void *block, size_t size, size_t alignment) {
  if (is_ours(block)) {
    bootstrap_free(block);
    return;
  }
  if (!calls_are_ready()) return; /* NULL: nothing else was handed out */
  if (!is_written(block)) dies(entry, block, size, alignment);
  if (entry == ENTRY_FREE_SIZED && next.free_sized != NULL) next.free_sized(block, size);
  else if (entry == ENTRY_FREE_ALIGNED_SIZED && next.free_aligned_sized != NULL)
    next.free_aligned_sized(block, alignment, size);
  else if (entry == ENTRY_CFREE && next.cfree != NULL) next.cfree(block);
  else next.free(block);
}

RECORDED void free(void *block) {
  if (__builtin_expect(is_ours(block) || !next.ready, 0)) {
    release(ENTRY_FREE, block, 0, 0);
    return;
  }
  if (!is_written(block)) dies(ENTRY_FREE, block, 0, 0);
  next.free(block);
}

RECORDED void *calloc(size_t count, size_t size) {
  if (!calls_are_ready()) {
    size_t bytes = product(count, size);
    return bytes == SIZE_MAX ? no_memory() : bootstrap_new(0, bytes); /* zeroed */
  }
  void *block = next.calloc(count, size);
  return born(entered(ENTRY_CALLOC), block, product(count, size), 0, count);
}

/* A block of ours goes to the allocator behind when it is resized: no death, but a birth. */
static void *move_from_ours(void *block, size_t size) {
  size_t had = bootstrap_usable_size(block);
  void *moved = calls_are_ready() ? next.malloc(size) : bootstrap_new(0, size);
  if (moved == NULL) return NULL;
  memcpy(moved, block, had < size ? had : size);
  bootstrap_free(block);
  return moved;
}

static void *resize(unsigned entry, void *block, size_t size, size_t count) {
  bool ours = is_ours(block);
  if (!calls_are_ready()) return ours ? move_from_ours(block, size) : bootstrap_new(0, size);
  lane_append(event_name(KIND_REALLOC_BEGIN, entry, 0, (uintptr_t)block), size, count);
  void *moved = ours ? move_from_ours(block, size) : next.realloc(block, size);
  unsigned kind = KIND_REALLOC_END;
  if (moved == NULL) kind = size == 0 && block != NULL ? KIND_REALLOC_FREED : KIND_REALLOC_FAILED;
  lane_append(event_name(kind, entry, 0, (uintptr_t)(moved != NULL ? moved : block)), size, 0);
  return moved;
}

RECORDED void *realloc(void *block, size_t size) {
  return resize(entered(ENTRY_REALLOC), block, size, 0);
}

/* Of any size and alignment: what is wrong with them the allocator behind says. */
static void *aligned(unsigned entry, void *(*function)(size_t, size_t), size_t alignment,
                     size_t size) {
  if (!next.ready) return bootstrap_new(alignment, size);
  void *block = function == NULL ? no_memory() : function(alignment, size);
  return born(entry, block, size, alignment, 0);
}

RECORDED void *aligned_alloc(size_t alignment, size_t size) {
  calls_are_ready();
  return aligned(entered(ENTRY_ALIGNED_ALLOC), next.aligned_alloc, alignment, size);
}

RECORDED void free_sized(void *block, size_t size) { release(ENTRY_FREE_SIZED, block, size, 0); }

RECORDED void free_aligned_sized(void *block, size_t alignment, size_t size) {
  release(ENTRY_FREE_ALIGNED_SIZED, block, size, alignment);
}

/* ---- POSIX, BSD and glibc ------------------------------------------------------------------ */

/* glibc's calls realloc, which others may have in its place. Ours is the realloc that it finds;
 * so that the call is written down once, it is not asked. */
RECORDED void *reallocarray(void *block, size_t count, size_t size) {
  size_t bytes;
  if (!__builtin_mul_overflow(count, size, &bytes))
    return resize(ENTRY_REALLOCARRAY, block, bytes, count);
  if (calls_are_ready()) {
    lane_append(event_name(KIND_REALLOC_BEGIN, ENTRY_REALLOCARRAY, 0, (uintptr_t)block), SIZE_MAX,
                count);
    lane_append(event_name(KIND_REALLOC_FAILED, ENTRY_REALLOCARRAY, 0, (uintptr_t)block), SIZE_MAX,
                0);
  }
  return no_memory();
}

RECORDED int posix_memalign(void **result, size_t alignment, size_t size) {
  if (!calls_are_ready()) {
    *result = bootstrap_new(alignment, size);
    return *result == NULL ? ENOMEM : 0;
  }
  unsigned entry = entered(ENTRY_POSIX_MEMALIGN);
  int error = next.posix_memalign(result, alignment, size);
  born(entry, error == 0 ? *result : NULL, size, alignment, 0);
  return error;
}

RECORDED void *memalign(size_t alignment, size_t size) {
  calls_are_ready();
  return aligned(entered(ENTRY_MEMALIGN), next.memalign, alignment, size);
}

static void *page_aligned(unsigned entry, void *(*function)(size_t), size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (!next.ready) return bootstrap_new(page, size);
  void *block = function == NULL ? no_memory() : function(size);
  return born(entry, block, size, page, 0);
}

RECORDED void *valloc(size_t size) {
  calls_are_ready();
  return page_aligned(ENTRY_VALLOC, next.valloc, size);
}

RECORDED void *pvalloc(size_t size) {
  calls_are_ready();
  return page_aligned(ENTRY_PVALLOC, next.pvalloc, size);
}

RECORDED size_t malloc_usable_size(void *block) {
  if (is_ours(block)) return bootstrap_usable_size(block);
  if (!calls_are_ready() || next.malloc_usable_size == NULL) return 0;
  size_t size = next.malloc_usable_size(block);
  lane_append(
      event_name(KIND_USABLE_SIZE, ENTRY_MALLOC_USABLE_SIZE, 0, (uintptr_t)block), size, 0);
  return size;
}

/* Of programs that were linked against a glibc before 2.26. */
RECORDED void cfree(void *block) { release(ENTRY_CFREE, block, 0, 0); }
