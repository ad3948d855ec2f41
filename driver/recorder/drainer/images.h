/* images.h: the processes that are recorded, each from its start or an exec to its end or the
 * next one, and what becomes of their events.
 *
 * `images_pass` takes what all rings have had at one moment, and brings the events of each
 * process into the order of their times, to tell which object lives at an address. A free is
 * written before its call and an allocation before its result is known to anybody: so an event is
 * written behind those that caused it, and of what was there at that moment no cause is missing.
 * Should two processors' counters differ, one of them has an earlier time: where an address is
 * born that lives, or dies that does not, and another ring has what was to go before within a
 * microsecond, that is taken first.
 *
 * A fork copies what its parent had at that time: objects of the child's first thread, once it
 * has its first event.
 */
#ifndef ALLOCPHASE_RECORDER_IMAGES_H
#define ALLOCPHASE_RECORDER_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/arena.h"
#include "recorder/drainer/output.h"

/* How raw ticks become those of the recording. */
struct time_scale {
  uint64_t zero;
  unsigned shift;
  uint64_t started_ns;
  uint64_t microsecond; /* raw ticks */
  uint64_t (*ticks)(void);
};

void images_open(struct arena *arena, const struct time_scale *scale);

/* How many events it took. Negative: what a program wrote over the arena ends the recording.
 * Processes that had ended before are told, and their rings are anybody's again. */
int64_t images_pass(double ticks_per_second);

/* Looks who has ended since. */
void images_look_for_ends(void);

/* Tells all of those that are left. */
void images_close(enum ended ended, double ticks_per_second);

size_t images_count(void);

#endif
