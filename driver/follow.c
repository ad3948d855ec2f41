#include "follow.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/system.h"
#include "base/text.h"

bool follow_start(pid_t child) {
  long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                 PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT;
  return ptrace(PTRACE_SEIZE, child, NULL, options) == 0;
}

/* ---- What is told --------------------------------------------------------------------- */

static void tell(int lines, const char *what, pid_t pid, uint64_t bytes) {
  char link[64], program[1024], line[1200];
  snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
  ssize_t length = readlink(link, program, sizeof program - 1);
  program[length > 0 ? length : 0] = '\0';
  int written = snprintf(line, sizeof line, "%s\t%d\t%llu\t%s\n", what, (int)pid,
                         (unsigned long long)bytes, program);
  if (written <= 0 || (size_t)written >= sizeof line) return;
  if (write(lines, line, (size_t)written) < 0) die(EXIT_TOOL, "a line of a process", strerror(errno));
}

/* The peak may be of a moment with other files: what is there at the end is all that is known. */
static uint64_t anonymous_peak_bytes(const char *status) {
  uint64_t peak = text_field(status, "\nVmHWM:");
  uint64_t others = text_field(status, "\nRssFile:") + text_field(status, "\nRssShmem:");
  return peak > others ? (peak - others) * 1024 : 0;
}

/* Each thread stops at its end; the first one's is the process's. */
static void tell_end(int lines, pid_t tid) {
  char path[64], status[4096];
  snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
  if (!read_text(path, status, sizeof status)) return;
  if (text_field(status, "\nTgid:") == (uint64_t)tid)
    tell(lines, "exit", tid, anonymous_peak_bytes(status));
}

/* ---- Stops ---------------------------------------------------------------------------- */

static bool stays_stopped(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static void let_go(pid_t tid, int status, int lines) {
  int event = status >> 16, signal = WSTOPSIG(status);
  if (event == PTRACE_EVENT_EXEC) tell(lines, "exec", tid, 0);
  if (event == PTRACE_EVENT_EXIT) tell_end(lines, tid);
  if (event == PTRACE_EVENT_STOP && stays_stopped(signal)) ptrace(PTRACE_LISTEN, tid, NULL, NULL);
  else ptrace(PTRACE_CONT, tid, NULL, (void *)(long)(event ? 0 : signal));
}

static bool is_end_of(pid_t child, const siginfo_t *info) {
  bool has_ended = info->si_code == CLD_EXITED || info->si_code == CLD_KILLED ||
                   info->si_code == CLD_DUMPED;
  return info->si_pid == child && has_ended;
}

void follow_to_end(pid_t child, int lines) {
  for (;;) {
    siginfo_t info = {0};
    int status;
    int error = waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL);
    if (error != 0 && errno == EINTR) continue;
    if (error != 0 || is_end_of(child, &info)) return;
    if (waitpid(info.si_pid, &status, __WALL) == info.si_pid && WIFSTOPPED(status))
      let_go(info.si_pid, status, lines);
  }
}
