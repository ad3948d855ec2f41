/* memory.h: memory of the drainer's own, or its end: the recording ends with it, the program
 * does not. */
#ifndef ALLOCPHASE_RECORDER_MEMORY_H
#define ALLOCPHASE_RECORDER_MEMORY_H

#include <stdlib.h>

#define EXIT_NO_MEMORY 12

/* Zeroed. */
static inline void *memory_new(size_t bytes) {
  void *found = calloc(1, bytes);
  if (found == NULL) _Exit(EXIT_NO_MEMORY);
  return found;
}

static inline void *memory_resize(void *memory, size_t bytes) {
  void *found = realloc(memory, bytes);
  if (found == NULL) _Exit(EXIT_NO_MEMORY);
  return found;
}

#endif
