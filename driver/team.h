/* team.h: runs the threads of a trace, once or several times in a row.
 *
 * A trace of one thread runs on the process's own thread. Otherwise each thread of the
 * trace is a thread of the process, pinned to the CPU of its lane. There are two kinds
 * of such traces, and a program has one or the other:
 *
 *   standing   no thread has a predecessor. The threads live as long as the run: they
 *              meet before and after each replay, and what is timed lies between. So
 *              per-thread state is as warm as in a program that goes on, and births
 *              and ends are in no replay.
 *   mortal     threads are born and end within the trace. Each replay has new ones,
 *              and the birth and end of all of them in it: a successor begins when the
 *              kernel says that its predecessor is gone, the last thread-specific
 *              destructor included, and the replay ends when all are.
 */
#ifndef ALLOCPHASE_TEAM_H
#define ALLOCPHASE_TEAM_H

#include "session.h"

typedef void worker_body(struct worker *worker);

/* What one run took, and what came off it. */
struct team_time {
  uint64_t busy_ns;   /* all replays, from a common start to the last end; of a trace of
                         one thread, less what others had of its CPU */
  uint64_t delay_ns;  /* that was taken off */
  uint64_t helper_ns; /* CPU time of the allocator's own threads and children meanwhile; not
                         known of mortal threads, whose ends cannot be told from it: 0 */
};

/* Takes what the threads need, so that it is there before a probe's first reading;
 * team_run() does it where nobody has. */
void team_prepare(const struct session *session);

/* Runs `body` once for each thread of the trace and each of `replays`, with
 * worker->probe = probe. */
struct team_time team_run(struct session *session, worker_body *body, void *probe,
                          uint64_t replays);

/* How long a thread worked in the last run, over its replays, and with what it waited
 * for objects of others; threads of one trace only. */
uint64_t team_busy_ns(uint32_t thread);

#endif
