/* syscall_count.h: counts the system calls of a command, and of every process and thread
 * that it starts (follow.h). Their addresses are fixed: where the heap happens to begin
 * decides whether malloc asks for it once more or less.
 *
 * A call is counted when it returns, from the command's own execve on, as `strace -f -c` does:
 * exit_group and a call in which somebody is killed never return; one that a signal
 * interrupts, and that the kernel makes again, counts each time.
 */
#ifndef ALLOCPHASE_SYSCALL_COUNT_H
#define ALLOCPHASE_SYSCALL_COUNT_H

#include <stdint.h>

#include "base/json.h"
#include "follow.h"

/* Before the fork. Who is still at it after `most_ns` is let go, and what was counted is
 * nothing. */
const struct follower *syscall_count_start(uint64_t most_ns);

/* `reason`: why nobody can be followed. */
void syscall_count_is_blind(const char *reason);

/* Adds "calls", by name; null where they were not all seen. */
void syscall_count_report(struct json *json);

#endif
