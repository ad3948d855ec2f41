/* crash: writes through a null pointer in init, in its third malloc or free, in a malloc
 * that asks too much, in stats or in fini; with -DAT_LOAD while it is loaded. */
#include "correct.h"

static int *volatile nowhere; /* volatile: a compiler that sees the fault leaves it out */

static void crash(void) { *nowhere = 1; }

#ifdef AT_LOAD
__attribute__((constructor)) static void loaded(void) { crash(); }
#endif

static int faulty_init(const struct allocphase_config *config) {
  int error = correct_init(config);
  if (is("init")) crash();
  return error;
}

static void *faulty_malloc(size_t size) {
  if (is("malloc") && mallocs == 2) crash();
  if (is("too-much") && size > PTRDIFF_MAX) crash();
  return correct_malloc(size);
}

static void faulty_free(void *block) {
  if (is("free") && frees == 2) crash();
  correct_free(block);
}

static void faulty_stats(allocphase_stat_sink *sink, void *context) {
  if (is("stats")) crash();
  sink(context, "frees", (double)frees);
}

static void faulty_fini(void) {
  if (is("fini")) crash();
  correct_fini();
}

PLUGIN(.init = faulty_init, .fini = faulty_fini, .malloc = faulty_malloc, .free = faulty_free,
       .stats = faulty_stats)
