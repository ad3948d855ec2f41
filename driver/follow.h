/* follow.h: every process of a program, seen by the kernel's own account: ptrace.
 *
 * What a witness says is known only of processes that it got into. So the program is stopped
 * where one of its processes starts another program, and where one ends, and each leaves a line:
 *
 *     exec TAB <pid> TAB 0 TAB <program> LF
 *     exit TAB <pid> TAB <peak of its anonymous memory in bytes> TAB <program> LF
 *
 * The peak is that of its resident memory (VmHWM) without the files and the shared memory that it
 * has at its end. One that is killed by SIGKILL leaves no second line. Its system calls are not
 * stopped at. A program that wants to trace a process itself cannot.
 */
#ifndef ALLOCPHASE_FOLLOW_H
#define ALLOCPHASE_FOLLOW_H

#include <stdbool.h>
#include <sys/types.h>

/* Of a child that has not yet started its command. False with errno: it is not permitted. */
bool follow_start(pid_t child);

/* Until `child` has ended, and is still to be waited for. `lines`: a file. */
void follow_to_end(pid_t child, int lines);

#endif
