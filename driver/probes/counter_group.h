/* counter_group.h: what the processor counts of this process, by perf_event_open(2).
 *
 * The events are one group: the kernel puts all of it on the counters or none, so what is
 * held against each other was counted over the same instructions. It counts outside of the
 * kernel alone (perf's ":u"), and every thread and child that begins after it is opened.
 * Opened at once are those that this processor has: of each other one the group knows why
 * it is left out.
 *
 * A reading is the kernel's, word by word, and nobody looks into it here
 * (src/allocphase/probe/counter_group.py does): how many events, for how long the group was
 * enabled and for how long it counted, in nanoseconds, and of each event its value and id.
 */
#ifndef ALLOCPHASE_COUNTER_GROUP_H
#define ALLOCPHASE_COUNTER_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct counter {
  const char *name;
  uint32_t type;
  uint64_t config;
};

#define MOST_COUNTERS 6
#define MOST_READING_WORDS (3 + 2 * MOST_COUNTERS)

struct counter_group {
  const struct counter *counters;
  size_t count;
  int files[MOST_COUNTERS];
  uint64_t ids[MOST_COUNTERS];
  const char *left_out[MOST_COUNTERS]; /* why; NULL: it is in the group */
};

/* Of the processor's own events or, `software`, of some that the kernel counts, which every
 * machine has: they show whether it is the processor's that are missing, or counting as
 * such. Returns NULL, or why there is no group: a text that stays. */
const char *counter_group_open(struct counter_group *group, bool software);

/* Returns how many words there are; 0 where the kernel gives none. */
size_t counter_group_read(const struct counter_group *group, uint64_t words[MOST_READING_WORDS]);

#endif
