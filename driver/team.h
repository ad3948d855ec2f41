/* team.h: runs the threads of a trace.
 *
 * A trace of one thread runs on the process's own thread. Otherwise each thread
 * of the trace is a thread of the process, pinned to the CPU of its lane: those
 * without a predecessor wait at a common start, the others are started by their
 * predecessor as it ends.
 */
#ifndef ALLOCPHASE_TEAM_H
#define ALLOCPHASE_TEAM_H

#include "session.h"

typedef void worker_body(struct worker *worker);

/* Runs `body` once for each thread of the trace, with worker->probe = probe.
 * Returns the nanoseconds from the common start to the last end. */
uint64_t team_run(struct session *session, worker_body *body, void *probe);

/* How long a thread worked in the last run; threads of one trace only. */
uint64_t team_busy_ns(uint32_t thread);

#endif
