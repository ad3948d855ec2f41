/* neighbour: its malloc number `at` writes over the last byte of the object before, and
 * nothing else is ever wrong. With `crash` instead, it writes through a null pointer there. */
#include "correct.h"

static long at, crash_at;
static char *last;
static int *volatile nowhere;

static int faulty_init(const struct allocphase_config *config) {
  for (size_t i = 0; i < config->count; i++) {
    long value = strtol(config->settings[i].value, NULL, 10);
    if (strcmp(config->settings[i].key, "at") == 0) at = value;
    if (strcmp(config->settings[i].key, "crash") == 0) crash_at = value;
  }
  return correct_init(config);
}

static void *faulty_malloc(size_t size) {
  char *block = correct_malloc(size);
  if (mallocs == crash_at) *nowhere = 1;
  if (mallocs == at + 1 && last) last[size_of(last) - 1] ^= 1;
  last = block;
  return block;
}

PLUGIN(.init = faulty_init, .fini = correct_fini, .malloc = faulty_malloc, .free = correct_free)
