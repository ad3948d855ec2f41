/* syscall_count.h: counts the system calls of a command, and of every process and thread
 * that it starts, by ptrace. Their addresses are fixed: where the heap happens to begin
 * decides whether malloc asks for it once more or less.
 *
 * A call is counted when it returns, from the command's own execve on, as `strace -f -c` does:
 * exit_group and a call in which somebody is killed never return; one that a signal
 * interrupts, and that the kernel makes again, counts each time.
 *
 *   syscall_count_prepare   before the fork
 *   syscall_count_wait      in the child, which goes on when the parent has attached or cannot
 *   syscall_count_attach    in the parent
 *   syscall_count_follow    until the command has ended
 */
#ifndef ALLOCPHASE_SYSCALL_COUNT_H
#define ALLOCPHASE_SYSCALL_COUNT_H

#include <stdint.h>
#include <sys/types.h>

#include "base/json.h"

void syscall_count_prepare(void);

void syscall_count_wait(void);

/* NULL, or why nobody can be traced here: then the command runs without. */
const char *syscall_count_attach(pid_t command);

/* Returns the command's wait status. Who is still at it after `most_ns` is let go: all of
 * them run on at full speed, and what was counted is nothing. Only after an attach. */
int syscall_count_follow(pid_t command, uint64_t most_ns);

/* Adds "calls", by name; null where they were not all seen. */
void syscall_count_report(struct json *json);

#endif
