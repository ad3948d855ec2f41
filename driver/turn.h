/* turn.h: processes that take turns, so that what disturbs the machine falls on all of them.
 *
 * Processes that are compared are timed a pass at a time, in an order that is drawn for each
 * turn. They stand in line at stdin: a socket, with src/allocphase/process/turns.py at the
 * other end. Who waits says what it would do with its turn; the answer is the turn, and says
 * what all of them do. At most one is awake.
 */
#ifndef ALLOCPHASE_TURN_H
#define ALLOCPHASE_TURN_H

#include <stdint.h>

/* Both ways the same. replays: in a pass; passes: a turn each. */
struct turn {
  uint64_t replays, passes;
};

/* Sleeps until it is this process's turn. Where nobody is there to give it one, it is. */
struct turn turn_wait(struct turn own);

#endif
