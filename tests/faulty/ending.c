/* ending: ends the process itself, in its third malloc: by exit, by _exit, by abort
 * with some words; or in init. */
#include "correct.h"

#include <stdio.h>

static int faulty_init(const struct allocphase_config *config) {
  int error = correct_init(config);
  if (is("exit-in-init")) exit(3);
  return error;
}

static void *faulty_malloc(size_t size) {
  if (mallocs != 2) return correct_malloc(size);
  if (is("exit")) exit(0);
  if (is("_exit")) _exit(0);
  if (is("abort")) {
    fputs("free list is damaged\n", stderr);
    abort();
  }
  return correct_malloc(size);
}

PLUGIN(.init = faulty_init, .fini = correct_fini, .malloc = faulty_malloc, .free = correct_free)
