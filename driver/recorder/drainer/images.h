/* images.h: the processes that are recorded, each from its start or an exec to its end or the
 * next one, and what becomes of their events.
 *
 * `images_pass` takes what all rings had at the last look, process by process (merge.h), each some
 * of it at a time: what is left stays in backlogs (rings.h) until a later pass.
 *
 * A fork copies what its parent had at that time: objects of the child's first thread, once it
 * has its first event. Until its parent has come to that fork, a child waits.
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

enum pass { PASS_ALL, PASS_SOME, PASS_DAMAGED };

/* After a new look, or without one. All: nothing from before the last look is left. Processes that
 * had ended before, and of which all was taken, are told, and their rings are anybody's again.
 * Damaged: what a program wrote over the arena ends the recording. */
enum pass images_pass(double ticks_per_second, bool looks);

/* Looks who has ended since. */
void images_look_for_ends(void);

/* Tells all of those that are left. */
void images_close(enum ended ended, double ticks_per_second);

size_t images_count(void);

#endif
