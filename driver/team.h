/* team.h: runs the threads of a trace.
 *
 * A trace of one thread runs on the process's own thread. Otherwise each thread
 * of the trace is a thread of the process, pinned to the CPU of its lane: those
 * without a predecessor wait at a common start, the others sleep until their
 * predecessor has done its last operation. It ends as they begin.
 */
#ifndef ALLOCPHASE_TEAM_H
#define ALLOCPHASE_TEAM_H

#include "session.h"

typedef void worker_body(struct worker *worker);

/* Takes what the threads need, so that it is there before a probe's first reading;
 * team_run() does it where nobody has. */
void team_prepare(const struct session *session);

/* Runs `body` once for each thread of the trace, with worker->probe = probe.
 * Returns the nanoseconds from the common start to the last end; of a trace of one
 * thread, less what it stood ready while others had the CPU. */
uint64_t team_run(struct session *session, worker_body *body, void *probe);

/* What was taken off by all runs so far. */
uint64_t team_delay_ns(void);

/* How long a thread worked in the last run; threads of one trace only. */
uint64_t team_busy_ns(uint32_t thread);

#endif
