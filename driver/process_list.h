/* process_list.h: every process of a program, by the kernel's own account (follow.h).
 *
 * What a witness says is known only of processes that it got into. So where one of the
 * program's processes starts another program, and where one ends, each leaves a line:
 *
 *     exec TAB <pid> TAB 0 TAB <program> LF
 *     exit TAB <pid> TAB <peak of its anonymous memory in bytes> TAB <program> LF
 *
 * The peak is that of its resident memory (VmHWM) without the files and the shared memory that it
 * has at its end. One that is killed by SIGKILL leaves no second line. Its system calls are not
 * stopped at.
 */
#ifndef ALLOCPHASE_PROCESS_LIST_H
#define ALLOCPHASE_PROCESS_LIST_H

#include "follow.h"

/* The lines go to `path`, a file that is not there yet. */
const struct follower *process_list_start(const char *path);

#endif
