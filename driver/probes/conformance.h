/* conformance.h: the same thousand calls to every allocator, for what no trace asks.
 *
 * A trace has the sizes, alignments and resizes of one program; an allocator that is
 * wrong elsewhere would pass. So the verify probe ends with calls of its own, the same
 * on every scenario, and frees all of its blocks again.
 */
#ifndef ALLOCPHASE_CONFORMANCE_H
#define ALLOCPHASE_CONFORMANCE_H

#include "probes/conformance_findings.h"
#include "session.h"

/* Ends the process at a finding of a function that the trace uses. */
void conformance_run(struct session *session, struct conformance *conformance);
/* Ends the process as corrupt: "<what> after the conformance calls". */
_Noreturn void conformance_fail(struct session *session, const char *what);
void conformance_report(const struct conformance *conformance, struct json *json);

#endif
