/* session.h: one driver process: what it was asked, what it measures, how it ends.
 *
 * A cell is one block of the trace as it lives in this process: the slot's
 * address, and what is needed to touch, grow and check the object. 16 bytes, so
 * that a cell never straddles two cache lines.
 */
#ifndef ALLOCPHASE_SESSION_H
#define ALLOCPHASE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/json.h"
#include "options.h"
#include "subject.h"
#include "trace.h"
#include "work.h"
#include "worker.h"

#define DRIVER_VERSION 1 /* of the result that it writes */

struct cell {
  void *block;        /* as the allocator returned it */
  uint32_t size;      /* as it was asked for */
  uint8_t align_log2; /* of an aligned object, else 0 */
};

_Static_assert(sizeof(struct cell) == 16, "four cells to a cache line");

/* Where the allocator's own code runs outside of the operations. */
enum session_part { PART_INIT, PART_THREAD_START, PART_THREAD_STOP, PART_FINI };

struct session;

/* A probe that has to know does something before and after; the worker of a thread's
 * part, else NULL. */
typedef void session_hook(struct session *session, enum session_part part,
                          const struct worker *worker);

struct session {
  struct options options;
  struct trace trace;
  struct subject subject;
  struct clock clock;
  bool times; /* the probe's figures are times: the clock's rate has to be known well */
  struct work work;
  struct json json;
  struct cell *cells;
  uint32_t *epochs;      /* threaded traces: see handover.h */
  session_hook *enter;   /* NULL: nothing */
  session_hook *leave;
  void *hook_state;
  uint64_t helper_threads; /* of the allocator's own, when all of the trace's had ended */
  uint64_t skipped_ops;  /* frees tried from a foreign domain that had no one to refuse them */
  uint32_t replay;       /* 1, 2, ... in the probe that looks at several; else 0 */
};

/* Around the pass of every probe: init, or the end of the process with the reason;
 * the allocator's statistics and fini. */
void session_start(struct session *session);
void session_stop(struct session *session);

/* Around the work of each thread of the trace, the only one included. */
void session_thread_start(const struct worker *worker);
void session_thread_stop(const struct worker *worker);

/* Ends the process with a result that has only a status and one line. */
_Noreturn void session_end_early(struct session *session, const char *status,
                                 const char *message);

/* The same for what went wrong at one operation:
 * "<what> at operation <i> of thread <t> (<kind>, <size> bytes, slot <s>)", and
 * " in replay <r>" where that is not the first. */
_Noreturn void session_fail(struct worker *worker, uint64_t op, const char *status,
                            const char *what);
/* "<what> after operation ...": of what was seen when that was over. */
_Noreturn void session_fail_after(struct worker *worker, uint64_t op, const char *status,
                                  const char *what);

/* The path of a file in the session's folder; valid until the next call. */
const char *session_path(const struct session *session, const char *name);

/* The object of a cell: aligned blocks that the driver emulates start later than
 * the block that holds them. */
static inline char *cell_object(const struct cell *cell) {
  uintptr_t mask = ((uintptr_t)1 << cell->align_log2) - 1;
  return (char *)(((uintptr_t)cell->block + mask) & ~mask);
}

#endif
