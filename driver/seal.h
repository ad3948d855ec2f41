/* seal.h: has the allocator written into the driver's own tables?
 *
 * Guards stand around what is mapped (system.h), and a trace is mapped to be read.
 * What is left within reach is the session itself: a copy of all of it that stays the
 * same during a probe lies on a page that cannot be written to, and is compared at
 * the end. A figure from a session that has been written over is none.
 */
#ifndef ALLOCPHASE_SEAL_H
#define ALLOCPHASE_SEAL_H

#include "session.h"

void seal_close(const struct session *session);
/* Ends the process with the status "corrupt" if anything differs. */
void seal_check(struct session *session);

#endif
