/* tracer.h: the backend that asks a second process: ptrace. */
#ifndef ALLOCPHASE_TRACER_H
#define ALLOCPHASE_TRACER_H

#include "probes/syscall_log.h"

/* Once, for all threads; NULL, or why this machine cannot do it. */
const char *tracer_start(struct syscall_log *log);

/* Does nothing where none was started. */
void tracer_stop(void);

#endif
