/* planted.c: the process's malloc, slower on one host alone: a regression that only one machine of
 * a fleet sees, as a new instruction or a cache of another size makes it.
 *
 *   HOST    the host's name as gethostname tells it; "" is none
 *   TURNS   further turns of a loop at each toll, there
 *
 * The toll is due on every PERIOD-th call, the driver's own work, whose time adds up. ALWAYS
 * turns are made on every host: two objects, and two hosts, differ in nothing but turns.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocphase.h"
#include "work.h"

enum { PERIOD = 64, ALWAYS = 100 };

static unsigned long turns = ALWAYS;
static _Thread_local unsigned long calls;

static inline void toll(void) {
  if (++calls % PERIOD == 0) work_do(turns);
}

static int planted_init(const struct allocphase_config *config) {
  char name[256] = "";
  (void)config;
  if (gethostname(name, sizeof name - 1)) return 1;
  if (strcmp(name, HOST) == 0) turns += TURNS;
  return 0;
}

static void planted_fini(void) {}

static void *planted_malloc(size_t size) {
  toll();
  return malloc(size);
}

static void planted_free(void *block) {
  toll();
  free(block);
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .flags = ALLOCPHASE_THREAD_SAFE,
    .init = planted_init,
    .fini = planted_fini,
    .malloc = planted_malloc,
    .free = planted_free,
    .usable_size = (size_t(*)(const void *))malloc_usable_size,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}
