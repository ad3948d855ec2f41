/* living.h: an event of a thread becomes a row, and its address the object that lives there.
 *
 * Whoever calls brings the events of a process in an order in which a free stands before the next
 * allocation at its address (merge.h).
 */
#ifndef ALLOCPHASE_RECORDER_DRAINER_LIVING_H
#define ALLOCPHASE_RECORDER_DRAINER_LIVING_H

#include <stdint.h>

#include "recorder/drainer/image.h"
#include "recorder/drainer/rings.h"

void living_take(struct image *image, uint32_t number, const struct whole_event *event);

#endif
