/* worker.h: one thread of the trace at work. */
#ifndef ALLOCPHASE_WORKER_H
#define ALLOCPHASE_WORKER_H

#include <stdint.h>

#include "trace.h"

struct session;

struct worker {
  struct session *session;
  uint32_t thread;
  const struct trace_op *ops;
  uint64_t count;
  uint64_t busy_ns; /* from its start to its end, waiting included */
  void *probe;      /* the probe's own state */
};

#endif
