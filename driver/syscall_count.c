/* syscall_count.c: one tracer, this process, for the whole tree below it.
 *
 * Each traced thread stops twice a call, as it enters and as it returns (PTRACE_SYSCALL).
 * The number is known at the first stop, and counted at the second; the kernel never
 * reports two entries of a thread without a return between, so that the thread's place
 * in `inside` tells the one from the other.
 *
 * Why not a seccomp filter that stops once a call (SECCOMP_RET_TRACE), in 10 µs instead of 16?
 * It stops before a call is made: one that never returns would count, and one that the
 * program's own filter refuses would not be seen. With a filter in place, a program cannot
 * choose the strict mode any more, and whom it starts with CLONE_UNTRACED gets ENOSYS for
 * every call. Of this here a program sees nothing but the time, and TracerPid; and it
 * cannot be traced by another.
 *
 * New processes and threads are attached by the kernel before their first instruction. They
 * are killed if this process dies, and run on where they were let go. Stops by a signal
 * (SIGSTOP, SIGTSTP) are left in place until SIGCONT, as without a tracer. setuid programs
 * gain nothing, traced or not: the keeper has said so (PR_SET_NO_NEW_PRIVS).
 */
#include "syscall_count.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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
#define SYSCALL_STOP (SIGTRAP | 0x80)

static struct {
  int gate[2]; /* closed when the child may go on */
  pid_t command;
  uint64_t end_ns;
  bool started; /* the command's execve has done its work: from it on all counts */
  bool letting_go;
  const char *blind;  /* why not all was seen; NULL: it was */
  uint16_t *inside;   /* by thread id: the number of the call that it is in, plus 1; 0: none */
  uint64_t counts[SYSCALL_NUMBERS];
} tally;

/* ---- Attaching ------------------------------------------------------------------------ */

/* Of what is executed from now on. */
static void fix_addresses(void) {
  int current = personality(0xffffffff);
  if (current == -1 || personality((unsigned long)current | ADDR_NO_RANDOMIZE) == -1)
    conditions_lack("fixed addresses", "personality() is not permitted here");
}

void syscall_count_prepare(void) {
  fix_addresses();
  tally.inside = take_lazy_pages(MOST_THREAD_IDS * sizeof *tally.inside);
  if (pipe2(tally.gate, O_CLOEXEC) != 0) die(EXIT_TOOL, "cannot make a pipe", strerror(errno));
}

void syscall_count_wait(void) {
  char nothing;
  close(tally.gate[1]);
  while (read(tally.gate[0], &nothing, 1) < 0 && errno == EINTR) continue;
}

static const char *reason_of(int error) {
  return error == EPERM ? "ptrace is not permitted here" : strerror(error);
}

const char *syscall_count_attach(pid_t command) {
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                 PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  tally.command = command;
  if (ptrace(PTRACE_SEIZE, command, NULL, options) != 0) tally.blind = reason_of(errno);
  close(tally.gate[0]);
  close(tally.gate[1]);
  return tally.blind;
}

/* ---- Stops ----------------------------------------------------------------------------- */

static void go_on(pid_t tid, long signal) {
  ptrace(tally.letting_go ? PTRACE_DETACH : PTRACE_SYSCALL, tid, NULL, signal);
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
    tally.blind = "this kernel's ptrace does not tell them (Linux 5.3 does)";
    tally.letting_go = true;
  }
}

static void on_call(pid_t tid) {
  if (!tally.started) return; /* our own code, before the command's */
  if (tally.inside[tid]) {
    tally.counts[tally.inside[tid] - 1]++;
    tally.inside[tid] = 0;
  } else {
    enter(tid);
  }
}

/* Of several threads the one that called execve goes on under the number of the first. */
static void on_exec(pid_t tid) {
  unsigned long former = 0;
  ptrace(PTRACE_GETEVENTMSG, tid, NULL, &former);
  if (!tally.started && tid == tally.command) {
    tally.started = true;
    tally.inside[tid] = SYS_execve + 1;
  } else if (former && former < MOST_THREAD_IDS && (pid_t)former != tid) {
    tally.inside[tid] = tally.inside[former];
    tally.inside[former] = 0;
  }
}

static bool stops_processes(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static void on_stop(pid_t tid, int status) {
  int signal = WSTOPSIG(status), event = status >> 16;
  if (signal == SYSCALL_STOP) on_call(tid);
  if (event == PTRACE_EVENT_EXEC) on_exec(tid);
  if (event == PTRACE_EVENT_STOP && stops_processes(signal) && !tally.letting_go)
    ptrace(PTRACE_LISTEN, tid, NULL, 0);
  else
    go_on(tid, event || signal == SYSCALL_STOP ? 0 : signal);
}

int syscall_count_follow(pid_t command, uint64_t most_ns) {
  tally.end_ns = now_ns() + most_ns;
  for (int status;;) {
    pid_t tid = waitpid(-1, &status, __WALL);
    if (tid < 0 && errno == EINTR) continue;
    if (tid < 0) die(EXIT_TOOL, "waitpid", strerror(errno));
    if (!tally.letting_go && now_ns() >= tally.end_ns) {
      tally.blind = "the program is not done in half of --timeout while they are counted";
      tally.letting_go = true;
    }
    if (WIFSTOPPED(status)) {
      on_stop(tid, status);
    } else {
      tally.inside[tid] = 0;
      if (tid == command) return status;
    }
  }
}

/* ---- What was counted ---------------------------------------------------------------- */

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
