/* images.h: the processes that are recorded, each from its start or an exec to its end or the
 * next one, and what becomes of their events.
 *
 * `images_pass` takes what all rings have had at one moment, process by process (merge.h).
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
#include "recorder/drainer/image.h"
#include "recorder/drainer/output.h"

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
