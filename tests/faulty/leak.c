/* leak: every malloc takes 32 MiB more from the system, uses them and forgets them. */
#include "correct.h"

#define LEAKED_BYTES ((size_t)32 << 20)

static void *faulty_malloc(size_t size) {
  char *leaked = os_map(LEAKED_BYTES);
  if (leaked) memset(leaked, 1, LEAKED_BYTES);
  return leaked ? correct_malloc(size) : NULL;
}

PLUGIN(.init = correct_init, .fini = correct_fini, .malloc = faulty_malloc, .free = correct_free)
