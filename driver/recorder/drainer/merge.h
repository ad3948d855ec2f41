/* merge.h: the events of a process's threads in one order.
 *
 * It is that of their times, to tell which object lives at an address. A free is
 * written before its call and an allocation before its result is known to anybody: so an event is
 * written behind those that caused it, and of what was there at that moment no cause is missing.
 * Should two processors' counters differ, one of them has an earlier time: where an address is
 * born that lives, or dies that does not, and another ring has what was to go before within a
 * microsecond, that is taken first.
 */
#ifndef ALLOCPHASE_RECORDER_DRAINER_MERGE_H
#define ALLOCPHASE_RECORDER_DRAINER_MERGE_H

#include <stdint.h>

#include "recorder/drainer/image.h"

enum merged { MERGED_ALL, MERGED_SOME, MERGE_DAMAGED };

/* Takes what the image's rings had at the last look until `limit`, in raw ticks, or some of it:
 * as much as takes a millisecond or two. Damaged: a ring is not as it says. */
enum merged merge(struct image *image, uint64_t limit);

#endif
