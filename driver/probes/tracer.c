/* tracer.c: the ptrace backend, for kernels without Syscall User Dispatch.
 *
 * A forked child attaches to every thread of its parent and stops it at the
 * entry of each system call. Whether the call is the allocator's it reads from
 * the thread's gate, in the log that both share; so both backends count the same
 * calls between the same two points. The child is made with the raw system call:
 * fork() would run the allocator's own atfork handlers.
 */
#include "probes/tracer.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/system.h"

enum tracer_state { TRACER_STARTING, TRACER_READY, TRACER_FAILED };

struct tracer {
  uint32_t state; /* enum tracer_state */
  int error;
};

static struct tracer *tracer; /* shared with the child */
static pid_t tracer_pid;

static const struct syscall_thread *thread_of(const struct syscall_log *log, pid_t tid) {
  uint32_t count = atomic_load(&log->thread_count);
  for (uint32_t i = 0; i < count; i++)
    if (log->threads[i].tid == tid) return &log->threads[i];
  return NULL;
}

static void on_syscall_stop(struct syscall_log *log, pid_t tid) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) <= 0) return;
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
  const struct syscall_thread *thread = thread_of(log, tid);
  if (thread && thread->gate == GATE_OPEN) syscall_log_add(log, thread, info.entry.nr);
}

/* Returns the signal to hand on, 0 for none. */
static long signal_of_stop(struct syscall_log *log, pid_t tid, int status) {
  int signal = WSTOPSIG(status);
  if (signal == (SIGTRAP | 0x80)) {
    on_syscall_stop(log, tid);
    return 0;
  }
  if (status >> 16) return 0; /* a ptrace event: a new thread, a group stop */
  return signal;
}

static void follow(struct syscall_log *log) {
  for (;;) {
    int status;
    pid_t tid = waitpid(-1, &status, __WALL);
    if (tid < 0 && errno == EINTR) continue;
    if (tid < 0) return; /* no thread is left */
    if (!WIFSTOPPED(status)) continue;
    long signal = signal_of_stop(log, tid, status);
    ptrace(PTRACE_SYSCALL, tid, NULL, signal);
  }
}

static void announce(enum tracer_state state, int error) {
  tracer->error = error;
  __atomic_store_n(&tracer->state, (uint32_t)state, __ATOMIC_RELEASE);
}

_Noreturn static void trace_parent(struct syscall_log *log, pid_t parent) {
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE;
  int status;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (ptrace(PTRACE_SEIZE, parent, NULL, options) != 0 ||
      ptrace(PTRACE_INTERRUPT, parent, NULL, NULL) != 0 ||
      waitpid(parent, &status, __WALL) != parent) {
    announce(TRACER_FAILED, errno);
    _exit(1);
  }
  announce(TRACER_READY, 0);
  ptrace(PTRACE_SYSCALL, parent, NULL, 0);
  follow(log);
  _exit(0);
}

const char *tracer_start(struct syscall_log *log) {
  pid_t parent = getpid();
  tracer = take_shared_pages(sizeof *tracer);
  long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) trace_parent(log, parent);
  if (child < 0) return strerror(errno);
  tracer_pid = (pid_t)child;
  prctl(PR_SET_PTRACER, child); /* Yama's permission; EINVAL where there is no Yama */
  while (__atomic_load_n(&tracer->state, __ATOMIC_ACQUIRE) == TRACER_STARTING) usleep(100);
  if (tracer->state == TRACER_READY) return NULL;
  waitpid(tracer_pid, NULL, 0);
  return tracer->error == EPERM ? "ptrace is not permitted here" : strerror(tracer->error);
}

void tracer_stop(void) {
  if (tracer_pid <= 0) return;
  kill(tracer_pid, SIGKILL); /* the kernel detaches what it traced */
  waitpid(tracer_pid, NULL, 0);
}
