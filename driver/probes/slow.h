/* slow.h: what may have taken a page fault, as the clock tells it.
 *
 * The kernel says what happened to a thread when it is asked, which costs more than most calls
 * of an allocator. But a fault takes a while itself, and what is over sooner had none: so a
 * probe asks only after what took long. After a long gap between two calls it asks as well, and
 * drops the answer: what is new at the next question belongs to the call before it.
 */
#ifndef ALLOCPHASE_PROBES_SLOW_H
#define ALLOCPHASE_PROBES_SLOW_H

#include <stdint.h>

/* Ticks (base/clock.h) of the cheapest page fault of this machine, of several taken here; in
 * the clock's own steps, so that it can be 0. */
uint32_t slow_cheapest_fault_ticks(void);

#endif
