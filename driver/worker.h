/* worker.h: one thread of the trace at work. */
#ifndef ALLOCPHASE_WORKER_H
#define ALLOCPHASE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "trace.h"

struct session;

struct worker {
  struct session *session;
  uint32_t thread;
  const struct trace_op *ops; /* all that the thread has */
  enum trace_part part;       /* what it is to replay: this part of them */
  uint64_t begin, end;
  uint64_t replays[TRACE_PARTS]; /* how often each part was replayed before */
  uint64_t place;               /* of ops[0], see worker_place() */
  uint64_t warm_place;          /* the same in the first warm replay */
  uint64_t busy_ns; /* of this step, over its replays: from start to end, waiting included */
  uint64_t worked;  /* iterations of its own work (work.h), over the run */
  void *probe;      /* the probe's own state */
};

/* Whether the part has been replayed before in this run. */
static inline bool worker_is_warm(const struct worker *worker) {
  return worker->replays[worker->part] > 0;
}

/* Where the figures of an operation stand: those of every operation once, in the order of
 * the file; behind them, for each further replay, those of what is repeated (trace.h), thread
 * after thread. */
static inline uint64_t worker_place(const struct worker *worker, const struct trace_op *op) {
  return worker->place + (uint64_t)(op - worker->ops);
}

#endif
