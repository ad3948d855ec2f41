/* memory.h: memory of the drainer's own, or its end: the recording ends with it, the program
 * does not. */
#ifndef ALLOCPHASE_RECORDER_MEMORY_H
#define ALLOCPHASE_RECORDER_MEMORY_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define EXIT_NO_MEMORY 12

/* Zeroed. */
static inline void *memory_new(size_t bytes) {
  void *found = calloc(1, bytes);
  if (found == NULL) _Exit(EXIT_NO_MEMORY);
  return found;
}

/* Zeroed, for what is looked up at random: in large pages, so that a look costs one miss and not
 * a walk of the page table, too. Where there are none it is as it was. */
static inline void *memory_new_table(size_t bytes) {
  char *found = memory_new(bytes);
  uintptr_t page = 4096, begin = ((uintptr_t)found + page - 1) & ~(page - 1);
  uintptr_t end = ((uintptr_t)found + bytes) & ~(page - 1);
  if (bytes >= (size_t)4 << 20) madvise((void *)begin, end - begin, MADV_HUGEPAGE);
  return found;
}

static inline void *memory_resize(void *memory, size_t bytes) {
  void *found = realloc(memory, bytes);
  if (found == NULL) _Exit(EXIT_NO_MEMORY);
  return found;
}

#endif
