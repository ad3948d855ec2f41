/* fence.h: what a process may do beyond itself, from some moment on: where it may write, to
 * whom it may send signals, and what it may as root.
 *
 * The subject runs with the rights of whoever runs the harness: it could overwrite the
 * trace of the processes after it, the run directory or anything else of that user, and
 * kill the harness. The fence is Landlock (man 7 landlock), which needs no privileges and
 * holds for everything that the process starts. Reading is left alone: libraries, /proc and
 * /sys are anybody's.
 *
 *   Linux 5.13   nothing is written, made, renamed or removed but beneath the given folders
 *   Linux 6.2    nor truncated
 *   Linux 6.10   no ioctl on devices
 *   Linux 6.12   no signal to a process outside, nor a socket without a name in a folder
 *
 * No call that allocators make in operation is looked at by it: mmap, munmap, madvise and
 * futex cost what they did. What it does not keep out are calls that name another process of
 * the same user by its number, and are no signals: prlimit, sched_setaffinity, setpriority.
 */
#ifndef ALLOCPHASE_FENCE_H
#define ALLOCPHASE_FENCE_H

#include <stddef.h>

/* Puts it around the calling thread, for good: beneath `folders` anything may be written, and
 * in the process's own /proc and a few devices what is there. Where the kernel has no Landlock,
 * or not all of it, there is as much of the fence as it has. Wants PR_SET_NO_NEW_PRIVS. */
void fence_close(const char *const *folders, size_t count);

/* Of root's rights those stay that change nothing for others: to read and write files of
 * whatever owner, within the fence, and to lock memory. Gone are the clock's, the scheduler's,
 * mounts, the limits of others, ... Nothing happens to an ordinary user. */
void fence_give_up_privileges(void);

#endif
