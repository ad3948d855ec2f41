#include "follow.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/system.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)

static struct {
  int gate[2]; /* closed when the child may go on */
  pid_t command;
  const struct follower *follower;
  bool letting_go;
} tree;

/* ---- Attaching ------------------------------------------------------------------------ */

void follow_prepare(void) {
  if (pipe2(tree.gate, O_CLOEXEC) != 0) die(EXIT_TOOL, "cannot make a pipe", strerror(errno));
}

void follow_wait(void) {
  char nothing;
  close(tree.gate[1]);
  while (read(tree.gate[0], &nothing, 1) < 0 && errno == EINTR) continue;
}

static const char *reason_of(int error) {
  return error == EPERM ? "ptrace is not permitted here" : strerror(error);
}

const char *follow_attach(pid_t command, const struct follower *follower) {
  const char *reason = NULL;
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                 PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  if (follower->on_exit) options |= PTRACE_O_TRACEEXIT;
  tree.command = command;
  tree.follower = follower;
  if (ptrace(PTRACE_SEIZE, command, NULL, options) != 0) reason = reason_of(errno);
  close(tree.gate[0]);
  close(tree.gate[1]);
  return reason;
}

void follow_let_go(void) { tree.letting_go = true; }

/* ---- Stops ----------------------------------------------------------------------------- */

static void go_on(pid_t tid, long signal) {
  int how = tree.follower->on_call ? PTRACE_SYSCALL : PTRACE_CONT;
  ptrace(tree.letting_go ? PTRACE_DETACH : how, tid, NULL, signal);
}

static void tell_exec(pid_t pid) {
  unsigned long former = 0;
  ptrace(PTRACE_GETEVENTMSG, pid, NULL, &former);
  tree.follower->on_exec(pid, former ? (pid_t)former : pid);
}

static void tell(pid_t tid, int signal, int event) {
  const struct follower *follower = tree.follower;
  if (signal == SYSCALL_STOP && follower->on_call) follower->on_call(tid);
  if (event == PTRACE_EVENT_EXEC && follower->on_exec) tell_exec(tid);
  if (event == PTRACE_EVENT_EXIT && follower->on_exit) follower->on_exit(tid);
}

static bool stops_processes(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static void on_stop(pid_t tid, int status) {
  int signal = WSTOPSIG(status), event = status >> 16;
  if (!tree.letting_go) tell(tid, signal, event);
  if (event == PTRACE_EVENT_STOP && stops_processes(signal) && !tree.letting_go)
    ptrace(PTRACE_LISTEN, tid, NULL, 0);
  else
    go_on(tid, event || signal == SYSCALL_STOP ? 0 : signal);
}

int follow_to_end(void) {
  for (int status;;) {
    pid_t tid = waitpid(-1, &status, __WALL);
    if (tid < 0 && errno == EINTR) continue;
    if (tid < 0) die(EXIT_TOOL, "waitpid", strerror(errno));
    if (WIFSTOPPED(status)) {
      on_stop(tid, status);
      continue;
    }
    if (tree.follower->on_end) tree.follower->on_end(tid);
    if (tid == tree.command) return status;
  }
}
