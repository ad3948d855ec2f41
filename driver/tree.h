/* tree.h: the processes below this one.
 *
 * The caller is a subreaper (PR_SET_CHILD_SUBREAPER), so that whoever loses its parent
 * below it becomes its child: the parents in /proc lead to everybody.
 */
#ifndef ALLOCPHASE_TREE_H
#define ALLOCPHASE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TREE_MAX_PROCESSES 65536 /* of the machine that are looked at: beyond that nobody can help */

struct process {
  pid_t pid;
  pid_t parent;
  bool ours;
};

/* Takes the memory that the looks need, from the system. */
void tree_prepare(void);

/* All processes of the machine as they are now, those below the caller marked as ours;
 * valid until the next call. */
struct process *tree_look(size_t *count);

/* -1: it is gone. */
pid_t tree_parent_of(pid_t pid);

/* What is resident of a process in bytes, what it shares with others in parts, one for
 * each; of one that does not tell its parts, all. 0: it is gone. */
uint64_t tree_share_bytes(pid_t pid);

#endif
