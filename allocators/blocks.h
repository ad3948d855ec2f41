/* blocks.h: what every allocator here does the same way.
 *
 * Arithmetic on sizes that cannot overflow, size classes, and the parts of the
 * interface that follow from malloc, free and usable_size. An allocator includes
 * it, and keeps its own source for what is particular to it.
 */
#ifndef ALLOCPHASE_BLOCKS_H
#define ALLOCPHASE_BLOCKS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What the ABI promises, and what max_align_t needs. */
#define BLOCK_ALIGNMENT ((size_t)16)

/* No object is larger than PTRDIFF_MAX: pointer differences in it would be
 * undefined. Half of that, for a size and an alignment, leaves room for sums. */
#define BLOCK_LIMIT ((size_t)PTRDIFF_MAX / 2)

/* ---- Arithmetic -------------------------------------------------------------------- */

static inline bool is_power_of_two(size_t n) { return n != 0 && (n & (n - 1)) == 0; }

static inline unsigned log2_floor(size_t n) { return 63u - (unsigned)__builtin_clzll(n); }

/* To a multiple of `power`, a power of two; n is at most SIZE_MAX - power. */
static inline size_t round_up(size_t n, size_t power) { return (n + power - 1) & -power; }

static inline char *align_pointer(char *pointer, size_t alignment) {
  return pointer + (-(uintptr_t)pointer & (alignment - 1));
}

/* ---- Requests that are refused ------------------------------------------------------ */

static inline void *no_memory(void) {
  errno = ENOMEM;
  return NULL;
}

/* As the caller made it, before any rounding: 3 is no alignment, though 16 is. Where
 * it is not valid, errno says why. */
static inline bool request_is_valid(size_t alignment, size_t size) {
  if (!is_power_of_two(alignment)) {
    errno = EINVAL;
    return false;
  }
  if (alignment <= BLOCK_LIMIT && size <= BLOCK_LIMIT) return true;
  errno = ENOMEM;
  return false;
}

static inline size_t block_alignment(size_t alignment) {
  return alignment < BLOCK_ALIGNMENT ? BLOCK_ALIGNMENT : alignment;
}

/* ---- Size classes ---------------------------------------------------------------
 *
 * Multiples of 16 up to 128, then four steps to each doubling: 160, 192, 224, 256,
 * 320 ... A block is at most 25% larger than what was asked for above 128 bytes.
 * A size that is a multiple of a power of two falls in a class that is one too:
 * the steps of a doubling are quarters of it, and a coarser multiple is a class. */

#define CLASS_STEP BLOCK_ALIGNMENT
#define CLASS_LINEAR_BYTES ((size_t)128)
#define CLASS_LINEAR_COUNT 8u

static inline unsigned class_of(size_t size) {
  if (size <= CLASS_LINEAR_BYTES) return size == 0 ? 0 : (unsigned)((size - 1) / CLASS_STEP);
  unsigned doubling = log2_floor(size - 1); /* 7 and more */
  unsigned quarter = (unsigned)((size - 1) >> (doubling - 2)) & 3u;
  return CLASS_LINEAR_COUNT + (doubling - 7u) * 4u + quarter;
}

static inline size_t class_bytes(unsigned class) {
  if (class < CLASS_LINEAR_COUNT) return (class + 1) * CLASS_STEP;
  unsigned doubling = 7u + (class - CLASS_LINEAR_COUNT) / 4u;
  size_t quarter = (class - CLASS_LINEAR_COUNT) % 4u;
  return (quarter + 5u) << (doubling - 2);
}

/* ---- Functions that follow from others --------------------------------------------- */

typedef void *malloc_function(size_t size);
typedef void free_function(void *block);
typedef size_t usable_size_function(const void *block);

static inline void *calloc_by_clearing(size_t count, size_t size, malloc_function *allocate) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  void *block = allocate(bytes);
  return block == NULL ? NULL : memset(block, 0, bytes);
}

/* The block stays while it fits and is not more than half empty; realloc to 0
 * bytes is a block of size 0, as malloc(0) is. */
static inline void *realloc_by_copying(void *block, size_t size, malloc_function *allocate,
                                       free_function *release, usable_size_function *usable) {
  if (block == NULL) return allocate(size);
  size_t had = usable(block);
  if (size <= had && size >= had / 2) return block;
  void *moved = allocate(size);
  if (moved == NULL) return NULL;
  memcpy(moved, block, had < size ? had : size);
  release(block);
  return moved;
}

#endif
