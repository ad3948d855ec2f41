/* conditions.h: what the machine, a container or a debugger takes from a measurement.
 *
 * A driver that may not do something goes on without it, where the figures still
 * mean something, and says so in its result:
 *
 *     "lacks": ["pinning: Operation not permitted"], "tracer_pid": 0
 */
#ifndef ALLOCPHASE_CONDITIONS_H
#define ALLOCPHASE_CONDITIONS_H

#include "base/json.h"

/* From any thread; both texts live as long as the process. What is lacking twice is
 * said once. */
void conditions_lack(const char *what, const char *why);

void conditions_report(struct json *json);

#endif
