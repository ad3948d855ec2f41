/* conformance_findings.h: the functions that the conformance calls try, and what they find.
 *
 * What is found is a *finding* of one function. It ends the process as corrupt when
 * the trace uses that function: then the cell's figures rest on it. Otherwise it is a
 * line of the result, and the function is tried no further.
 */
#ifndef ALLOCPHASE_CONFORMANCE_FINDINGS_H
#define ALLOCPHASE_CONFORMANCE_FINDINGS_H

#include <stdint.h>

#include "trace.h"

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
#define CONFORMANCE_FUNCTIONS 8 /* process/progress.py: ASKED */

struct conformance {
  uint64_t calls;
  uint32_t finding_count;
  char findings[CONFORMANCE_FUNCTIONS][96]; /* "<what> (<function>, <size> bytes)" */
};

#endif
