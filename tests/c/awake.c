/* awake: says from when to when it was called, in ns of CLOCK_MONOTONIC, which all processes
 * share: "from 0", "to 0", "from 1" and so on. Calls less than `gap_ns` apart are one stretch.
 * Each malloc takes at least `malloc_ns`. The malloc number `last`, from 1, ends the process, or
 * with `hangs` does not end. */
#include "arena.h"

#include <stdio.h>
#include <time.h>

#define MOST_STRETCHES 500

static long malloc_ns, gap_ns, last, hangs, mallocs;
static char block[4096]; /* blocks overlap: nothing but time matters */
static struct {
  long from, to;
} stretches[MOST_STRETCHES];
static int count;

static long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000 + now.tv_nsec;
}

static int awake_init(const struct allocphase_config *config) {
  malloc_ns = number_of(config, "malloc_ns");
  gap_ns = number_of(config, "gap_ns");
  last = number_of(config, "last");
  hangs = number_of(config, "hangs");
  return 0;
}

static void awake_fini(void) {}

static void note(long from, long to) {
  if (count > 0 && from - stretches[count - 1].to < gap_ns) stretches[count - 1].to = to;
  else if (count < MOST_STRETCHES) stretches[count].from = from, stretches[count++].to = to;
}

static void *awake_malloc(size_t size) {
  (void)size;
  if (++mallocs == last && !hangs) abort();
  long start_ns = now_ns(), end_ns;
  do end_ns = now_ns();
  while (end_ns < start_ns + malloc_ns || (mallocs == last && hangs));
  note(start_ns, end_ns);
  return block;
}

static void awake_free(void *old) { (void)old; }

static void awake_stats(allocphase_stat_sink *sink, void *context) {
  for (int i = 0; i < count; i++) {
    char from[32], to[32];
    snprintf(from, sizeof from, "from %d", i);
    snprintf(to, sizeof to, "to %d", i);
    sink(context, from, (double)stretches[i].from);
    sink(context, to, (double)stretches[i].to);
  }
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = awake_init,
    .fini = awake_fini,
    .malloc = awake_malloc,
    .free = awake_free,
    .stats = awake_stats,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
