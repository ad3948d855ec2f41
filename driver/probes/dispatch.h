/* dispatch.h: the backend that needs no second process: Syscall User Dispatch. */
#ifndef ALLOCPHASE_DISPATCH_H
#define ALLOCPHASE_DISPATCH_H

#include <stdbool.h>

#include "probes/syscall_log.h"

/* Once, and then in each thread; NULL, or why this machine cannot do it. */
const char *dispatch_start(struct syscall_log *log);
const char *dispatch_join(struct syscall_thread *thread);

/* Whether its handler still stands. */
bool dispatch_holds(void);

/* In each thread, before it ends. */
void dispatch_leave(void);

#endif
