/* team.h: runs the threads of a trace through its parts, one step after the other.
 *
 * A probe's script plays one step after the other: a part, or several in a row, once or
 * several times. The objects of the build part stay live meanwhile, however often the steady
 * part is repeated. Threads begin a part together.
 *
 * A trace of one thread runs on the process's own thread. Otherwise each thread of the
 * trace is a thread of the process, pinned to the CPU of its lane. There are two kinds
 * of such traces, and a program has one or the other:
 *
 *   standing   no thread ends within the trace. The threads live as long as the run: they
 *              meet before and after each part, and what is timed lies between. So
 *              per-thread state is as warm as in a program that goes on, and births
 *              and ends are in no part.
 *   mortal     threads are born and end within the trace, each in one of its parts. Each
 *              replay has new ones, and the birth and end of all of them in it: a successor
 *              begins when the kernel says that its predecessor is gone, the last
 *              thread-specific destructor included, and the replay ends when all are.
 */
#ifndef ALLOCPHASE_TEAM_H
#define ALLOCPHASE_TEAM_H

#include "session.h"

/* Replays worker->ops from worker->begin to before worker->end. */
typedef void worker_body(struct worker *worker);

/* What a step took, and what came off it. */
struct team_time {
  uint64_t busy_ns;   /* all replays, from a common start to the last end; of a trace of
                         one thread, less what others had of its CPU */
  uint64_t delay_ns;  /* that was taken off */
  uint64_t helper_ns; /* CPU time of the allocator's own threads and children meanwhile; not
                         known of mortal threads, whose ends cannot be told from it: 0 */
};

/* Decides what is played; it runs on the first thread of the trace, or where that is
 * mortal on the process's own, and all others wait for it. */
typedef void team_script(void *probe);

/* Takes what the threads need, so that it is there before a probe's first reading;
 * team_run() does it where nobody has. */
void team_prepare(const struct session *session);

/* Runs `script` with `probe`. */
void team_run(struct session *session, worker_body *body, void *probe, team_script *script);

/* For the script: `body` for each thread of the trace and each part from `first` to `last`,
 * that as often as `times` says, with worker->probe = probe. */
struct team_time team_play(enum trace_part first, enum trace_part last, uint64_t times);

/* The whole trace once. Returns what its parts took. */
uint64_t team_run_once(struct session *session, worker_body *body, void *probe);

/* The whole trace, with what can be repeated (trace.h) repeated `warm` times before the drain.
 * Returns what the first replay of each part took. */
uint64_t team_run_warm(struct session *session, worker_body *body, void *probe, uint64_t warm);

/* How long a thread worked in the last step, over its replays, and with what it waited
 * for objects of others; threads of one trace only. */
uint64_t team_busy_ns(uint32_t thread);

#endif
