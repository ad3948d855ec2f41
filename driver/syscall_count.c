/* syscall_count.c: what stops twice a call, counted once.
 *
 * Each traced thread stops as it enters a call and as it returns (PTRACE_SYSCALL).
 * The number is known at the first stop, and counted at the second; the kernel never
 * reports two entries of a thread without a return between, so that the thread's place
 * in `inside` tells the one from the other.
 *
 * Why not a seccomp filter that stops once a call (SECCOMP_RET_TRACE), in 10 µs instead of 16?
 * It stops before a call is made: one that never returns would count, and one that the
 * program's own filter refuses would not be seen. With a filter in place, a program cannot
 * choose the strict mode any more, and whom it starts with CLONE_UNTRACED gets ENOSYS for
 * every call.
 */
#include "syscall_count.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/syscall_name.h"
#include "base/system.h"
#include "conditions.h"

#ifdef __x86_64__
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define MOST_THREAD_IDS (1u << 22) /* the kernel's PID_MAX_LIMIT */
#define NUMBERED_ELSEWHERE (SYSCALL_NUMBERS - 1) /* of a 32-bit process */

static struct {
  uint64_t end_ns;
  bool started; /* the command's execve has done its work: from it on all counts */
  const char *blind;  /* why not all was seen; NULL: it was */
  uint16_t *inside;   /* by thread id: the number of the call that it is in, plus 1; 0: none */
  uint64_t counts[SYSCALL_NUMBERS];
} tally;

/* ---- Stops ----------------------------------------------------------------------------- */

static void give_up(const char *reason) {
  syscall_count_is_blind(reason);
  follow_let_go();
}

static unsigned int number_of(const struct __ptrace_syscall_info *info) {
  bool ours = info->arch == OWN_ARCHITECTURE && info->entry.nr < NUMBERED_ELSEWHERE;
  return ours ? (unsigned int)info->entry.nr : NUMBERED_ELSEWHERE;
}

static void enter(pid_t tid) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) > 0) {
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
      tally.inside[tid] = (uint16_t)(number_of(&info) + 1);
  } else if (errno != ESRCH) { /* it has not just been killed */
    give_up("this kernel's ptrace does not tell them (Linux 5.3 does)");
  }
}

static void on_call(pid_t tid) {
  if (now_ns() >= tally.end_ns) {
    give_up("the program is not done in half of --timeout while they are counted");
  } else if (!tally.started) {
    return; /* our own code, before the command's */
  } else if (tally.inside[tid]) {
    tally.counts[tally.inside[tid] - 1]++;
    tally.inside[tid] = 0;
  } else {
    enter(tid);
  }
}

/* The first one is the command's own. */
static void on_exec(pid_t pid, pid_t former) {
  if (!tally.started) {
    tally.started = true;
    tally.inside[pid] = SYS_execve + 1;
  } else if (former != pid) {
    tally.inside[pid] = tally.inside[former];
    tally.inside[former] = 0;
  }
}

static void on_end(pid_t tid) {
  tally.inside[tid] = 0;
}

/* ---- From before to after ---------------------------------------------------------------- */

/* Of what is executed from now on. */
static void fix_addresses(void) {
  int current = personality(0xffffffff);
  if (current == -1 || personality((unsigned long)current | ADDR_NO_RANDOMIZE) == -1)
    conditions_lack("fixed addresses", "personality() is not permitted here");
}

const struct follower *syscall_count_start(uint64_t most_ns) {
  static const struct follower follower = {
      .on_exec = on_exec, .on_call = on_call, .on_end = on_end};
  fix_addresses();
  tally.inside = take_lazy_pages(MOST_THREAD_IDS * sizeof *tally.inside);
  tally.end_ns = now_ns() + most_ns;
  return &follower;
}

void syscall_count_is_blind(const char *reason) {
  tally.blind = reason;
}

void syscall_count_report(struct json *json) {
  if (tally.blind) {
    conditions_lack("system calls", tally.blind);
    json_null(json, "calls");
    return;
  }
  json_open(json, "calls");
  for (unsigned int n = 0; n < SYSCALL_NUMBERS; n++)
    if (tally.counts[n]) json_integer(json, syscall_name(n), tally.counts[n]);
  json_close(json);
}
