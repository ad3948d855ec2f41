/* conformance.h: the same thousand calls to every allocator, for what no trace asks.
 *
 * A trace has the sizes, alignments and resizes of one program; an allocator that is
 * wrong elsewhere would pass. So the verify probe ends with calls of its own, the same
 * on every scenario, and frees all of its blocks again.
 *
 * What is found is a *finding* of one function. It ends the process as corrupt when
 * the trace uses that function: then the cell's figures rest on it. Otherwise it is a
 * line of the result, and the function is tried no further.
 */
#ifndef ALLOCPHASE_CONFORMANCE_H
#define ALLOCPHASE_CONFORMANCE_H

#include "session.h"

/* The first five are also kinds of operations. */
enum conformance_function {
  CONFORMANCE_MALLOC = TRACE_MALLOC,
  CONFORMANCE_CALLOC = TRACE_CALLOC,
  CONFORMANCE_REALLOC = TRACE_REALLOC,
  CONFORMANCE_ALIGNED_ALLOC = TRACE_ALIGNED_ALLOC,
  CONFORMANCE_FREE = TRACE_FREE,
  CONFORMANCE_FREE_TAGGED,
  CONFORMANCE_USABLE_SIZE,
  CONFORMANCE_THREAD_EXIT,
};
#define CONFORMANCE_FUNCTIONS 8 /* whereabouts.py: ASKED */

struct conformance {
  uint64_t calls;
  uint32_t finding_count;
  char findings[CONFORMANCE_FUNCTIONS][96]; /* "<what> (<function>, <size> bytes)" */
};

/* Ends the process at a finding of a function that the trace uses. */
void conformance_run(struct session *session, struct conformance *conformance);
/* Ends the process as corrupt: "<what> after the conformance calls". */
_Noreturn void conformance_fail(struct session *session, const char *what);
void conformance_report(const struct conformance *conformance, struct json *json);

#endif
