/* progress.h: where the process is, for whoever finds it dead.
 *
 * progress.bin is one page (or more) that the driver shares with a file: it outlives
 * the process, however that ends, and src/allocphase/process/progress.py makes a phrase of
 * it. Every probe says in which phase it is. Those that are not timed also say at
 * which operation, and whether the allocator is being called or has answered and the
 * driver uses the block: a timed loop may not pay for that. So does conformance.c, whose
 * calls belong to no operation.
 */
#ifndef ALLOCPHASE_PROGRESS_H
#define ALLOCPHASE_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

#include "worker.h"

enum progress_phase {
  PROGRESS_LOAD,   /* the object is loaded: its constructors run */
  PROGRESS_INIT,
  PROGRESS_TRACE,
  PROGRESS_CONFORMANCE, /* the calls of conformance.c */
  PROGRESS_STATS,
  PROGRESS_FINI,
  PROGRESS_RESULT, /* the allocator is no longer called */
};

enum progress_place {
  PROGRESS_NOWHERE, /* before the first operation, or in a timed probe */
  PROGRESS_CALL,    /* in the allocator */
  PROGRESS_USE,     /* behind it, on the way to the next operation */
  PROGRESS_FAILED,  /* the driver ends the process, for what it saw there */
};

struct progress_thread {
  _Alignas(64) volatile uint64_t op;
  volatile uint32_t slot;
  volatile uint32_t size;
  volatile uint32_t kind;  /* enum trace_kind */
  volatile uint32_t place; /* enum progress_place */
};

struct progress {
  _Alignas(64) volatile uint32_t phase; /* enum progress_phase */
  uint32_t thread_count;
  volatile uint32_t replay; /* of the trace, from 1; 0: the probe does not say */
  /* In PROGRESS_CONFORMANCE: */
  volatile uint32_t asked_place; /* enum progress_place */
  volatile uint64_t asked_bytes;
  volatile uint32_t asked; /* enum conformance_function */
  struct progress_thread threads[];
};

_Static_assert(sizeof(struct progress_thread) == 64, "process/progress.py: THREAD");
_Static_assert(offsetof(struct progress, threads) == 64, "process/progress.py: HEADER");

extern struct progress *progress;

/* Makes the file `path`; dies when it cannot. */
void progress_open(const char *path, uint32_t thread_count);

static inline void progress_to(enum progress_phase phase) { progress->phase = phase; }

static inline void progress_replay(uint32_t replay) { progress->replay = replay; }

static inline void progress_ask(uint32_t function, uint64_t bytes) {
  progress->asked = function;
  progress->asked_bytes = bytes;
  progress->asked_place = PROGRESS_CALL;
}

static inline void progress_answered(void) { progress->asked_place = PROGRESS_USE; }

static inline void progress_note(const struct worker *worker, const struct trace_op *op,
                                 enum progress_place place) {
  struct progress_thread *at = &progress->threads[worker->thread];
  at->op = (uint64_t)(op - worker->ops);
  at->slot = op->slot;
  at->size = op->size;
  at->kind = op->kind;
  at->place = place;
}

static inline void progress_enter(const struct worker *worker, const struct trace_op *op) {
  progress_note(worker, op, PROGRESS_CALL);
}

/* Of timed probes too, which say nothing else. */
static inline void progress_fail(const struct worker *worker, const struct trace_op *op) {
  progress_note(worker, op, PROGRESS_FAILED);
}

static inline void progress_leave(const struct worker *worker) {
  progress->threads[worker->thread].place = PROGRESS_USE;
}

#endif
