/* follow.h: one tracer, this process, for a command and the whole tree below it, by ptrace.
 *
 *   follow_prepare   before the fork
 *   follow_wait      in the child, which goes on when the parent has attached or cannot
 *   follow_attach    in the parent
 *   follow_to_end    until the command has ended, with a word to the follower at each stop
 *
 * New processes and threads are attached by the kernel before their first instruction. They
 * are killed if this process dies, and run on where they were let go. Stops by a signal
 * (SIGSTOP, SIGTSTP) are left in place until SIGCONT, as without a tracer. setuid programs
 * gain nothing, traced or not: the keeper has said so (PR_SET_NO_NEW_PRIVS). Of this a
 * program sees nothing but the time, and TracerPid; and it cannot be traced by another.
 */
#ifndef ALLOCPHASE_FOLLOW_H
#define ALLOCPHASE_FOLLOW_H

#include <sys/types.h>

/* Whoever wants to hear of a tree. NULL: it does not stop there. */
struct follower {
  /* A process has become another program. `former` was the number of the thread that called
   * execve, and goes on under that of its process, `pid`; mostly they are the same. */
  void (*on_exec)(pid_t pid, pid_t former);
  void (*on_call)(pid_t tid); /* enters a system call, or returns from it */
  void (*on_exit)(pid_t tid); /* is about to end; /proc still has all of it. Not by SIGKILL */
  void (*on_end)(pid_t tid);  /* has ended */
};

void follow_prepare(void);

void follow_wait(void);

/* NULL, or why nobody can be traced here: then the command runs without. */
const char *follow_attach(pid_t command, const struct follower *follower);

/* Returns the command's wait status. Only after an attach. */
int follow_to_end(void);

/* From a follower's function: all of them run on at full speed, and nobody hears of them. */
void follow_let_go(void);

#endif
