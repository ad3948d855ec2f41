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
 *     copies.c      in preload/: strdup and strndup
 *     threads.c     pthread_create and pthread_join
 *     next.h        the functions behind
 *     lane.h        where a thread writes, and what happens when it has no room
 *     image.h       the process in the arena: start, fork
 *     arena.h       the memory that is shared with the drainer
 *     event.h       what is written
 *     touched.h     in preload/: which pages of a block were touched, where it is asked for
 *     drainer/      what reads it
 *
 * What is asked for before the functions behind can be found is served from memory of our own
 * (preload/bootstrap.h) and counted; mostly nobody asks.
 */
#include "recorder/calls.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder/image.h"

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

/* What is never freed. Of a process that ends otherwise than by exit, or by returning from main, it
 * stays unknown. */
__attribute__((destructor)) static void end(void) {
  if (next.ready && next.touched_all != NULL) next.touched_all(write_touched);
}

/* ---- Pieces ----------------------------------------------------------------------- */

/* What the program does of its own accord with a block from before the beginning is not seen:
 * the allocator behind never had it. */
static inline bool is_ours(const void *block) { return bootstrap_contains(block); }

static size_t product(size_t count, size_t size) {
  size_t bytes;
  return __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes;
}

static void *no_memory(void) {
  errno = ENOMEM;
  return NULL;
}

/* ---- ISO C --------------------------------------------------------------------------------- */

/* The birth of what a caller without hindrance was given. */
INLINED bool born_alone(unsigned entry, const void *block, size_t size, size_t extra) {
  return block != NULL &&
         lane_try(event_name(KIND_ALLOCATION, entry, 0, (uintptr_t)block), size, extra);
}

OTHERWISE static void *born(unsigned entry, void *block, size_t size, size_t extra,
                            uintptr_t frame) {
  if (asked_is_this(size, frame)) {
    struct asked taken = asked_take();
    asked_write(&taken, block);
  } else {
    write_birth(entry, block, size, 0, extra);
  }
  return block;
}

OTHERWISE static void *malloc_otherwise(size_t size, uintptr_t frame) {
  if (!calls_are_ready()) return bootstrap_new(0, size);
  return born(ENTRY_MALLOC, next.malloc(size), size, 0, frame);
}

RECORDED void *malloc(size_t size) {
  if (!nothing_hinders()) return malloc_otherwise(size, OWN_FRAME);
  void *block = next.malloc(size);
  if (__builtin_expect(born_alone(ENTRY_MALLOC, block, size, 0), 1)) return block;
  return born(ENTRY_MALLOC, block, size, 0, OWN_FRAME);
}

OTHERWISE static void free_otherwise(void *block) {
  if (is_ours(block)) {
    bootstrap_free(block);
    return;
  }
  if (!calls_are_ready()) return; /* NULL: nothing else was handed out */
  if (!is_written(block)) {
    tell_touched(block);
    lane_append(event_name(KIND_FREE, ENTRY_FREE, 0, (uintptr_t)block), 0, 0);
  }
  next.free(block);
}

/* The allocator's own, of a caller without hindrance. */
INLINED bool dies_alone(const void *block) {
  return !is_ours(block) &&
         lane_try(event_name(KIND_FREE, ENTRY_FREE, 0, (uintptr_t)block), 0, 0);
}

RECORDED void free(void *block) {
  if (nothing_hinders() && __builtin_expect(dies_alone(block), 1)) next.free(block);
  else free_otherwise(block);
}

OTHERWISE static void *calloc_otherwise(size_t count, size_t size, uintptr_t frame) {
  size_t bytes = product(count, size);
  if (!calls_are_ready())
    return bytes == SIZE_MAX ? no_memory() : bootstrap_new(0, bytes); /* zeroed */
  return born(ENTRY_CALLOC, next.calloc(count, size), bytes, count, frame);
}

RECORDED void *calloc(size_t count, size_t size) {
  if (!nothing_hinders()) return calloc_otherwise(count, size, OWN_FRAME);
  void *block = next.calloc(count, size);
  size_t bytes = product(count, size);
  if (__builtin_expect(born_alone(ENTRY_CALLOC, block, bytes, count), 1)) return block;
  return born(ENTRY_CALLOC, block, bytes, count, OWN_FRAME);
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
  tell_touched(block);
  lane_append(event_name(KIND_REALLOC_BEGIN, entry, 0, (uintptr_t)block), size, count);
  void *moved = ours ? move_from_ours(block, size) : next.realloc(block, size);
  unsigned kind = KIND_REALLOC_END;
  if (moved == NULL) kind = size == 0 && block != NULL ? KIND_REALLOC_FREED : KIND_REALLOC_FAILED;
  lane_append(event_name(kind, entry, 0, (uintptr_t)(moved != NULL ? moved : block)), size, 0);
  return moved;
}

RECORDED void *realloc(void *block, size_t size) {
  return resize(ENTRY_REALLOC, block, size, 0);
}

/* Of any size and alignment: what is wrong with them the allocator behind says. */
static void *aligned(unsigned entry, void *(*function)(size_t, size_t), size_t alignment,
                     size_t size) {
  if (!next.ready) return bootstrap_new(alignment, size);
  struct asking asking;
  asked_begin(&asking, entry, size, alignment);
  return asked_end(&asking, function == NULL ? no_memory() : function(alignment, size));
}

RECORDED void *aligned_alloc(size_t alignment, size_t size) {
  calls_are_ready();
  return aligned(ENTRY_ALIGNED_ALLOC, next.aligned_alloc, alignment, size);
}

RECORDED void free_sized(void *block, size_t size) {
  uintptr_t before = freed_begin(ENTRY_FREE_SIZED, block, size, 0);
  if (is_ours(block) || next.free_sized == NULL) free(block);
  else next.free_sized(block, size);
  caller_set_freed(before);
}

RECORDED void free_aligned_sized(void *block, size_t alignment, size_t size) {
  uintptr_t before = freed_begin(ENTRY_FREE_ALIGNED_SIZED, block, size, alignment);
  if (is_ours(block) || next.free_aligned_sized == NULL) free(block);
  else next.free_aligned_sized(block, alignment, size);
  caller_set_freed(before);
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
  struct asking asking;
  asked_begin(&asking, ENTRY_POSIX_MEMALIGN, size, alignment);
  int error = next.posix_memalign(result, alignment, size);
  asked_end(&asking, error == 0 ? *result : NULL);
  return error;
}

RECORDED void *memalign(size_t alignment, size_t size) {
  calls_are_ready();
  return aligned(ENTRY_MEMALIGN, next.memalign, alignment, size);
}

static void *page_aligned(unsigned entry, void *(*function)(size_t), size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (!next.ready) return bootstrap_new(page, size);
  struct asking asking;
  asked_begin(&asking, entry, size, page);
  return asked_end(&asking, function == NULL ? no_memory() : function(size));
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
RECORDED void cfree(void *block) {
  uintptr_t before = freed_begin(ENTRY_CFREE, block, 0, 0);
  if (is_ours(block) || next.cfree == NULL) free(block);
  else next.cfree(block);
  caller_set_freed(before);
}
