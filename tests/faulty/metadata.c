/* metadata: keeps the sizes of its blocks in an array of libc's that is one too short, and
 * nobody looks there: as it is compiled for a run, nothing is seen of that. */
#include "correct.h"

#ifndef SIZES
#define SIZES 6 /* 48 bytes, of which libc makes 56 */
#endif

static uint64_t *sizes;

static int faulty_init(const struct allocphase_config *config) {
  sizes = malloc(SIZES * sizeof *sizes);
  return sizes ? correct_init(config) : ENOMEM;
}

static void *faulty_malloc(size_t size) {
  void *block = correct_malloc(size);
  if (mallocs <= SIZES + 1) sizes[mallocs - 1] = size;
  if (is("null") && mallocs == SIZES + 2) return NULL;
  return block;
}

static void faulty_fini(void) {
  free(sizes);
  correct_fini();
}

PLUGIN(.init = faulty_init, .fini = faulty_fini, .malloc = faulty_malloc, .free = correct_free)
