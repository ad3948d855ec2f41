/* dispatch.c: Syscall User Dispatch, the backend that needs no second process.
 *
 * While a thread's gate is open, each of its system calls becomes a SIGSYS. The
 * handler logs the call, makes it in the thread's place and puts the result into
 * the register where the caller looks for it. Three things need care:
 *
 *   - The handler's own calls and its return (rt_sigreturn) are system calls
 *     too. Both stand in the section below, whose range the kernel lets pass; it
 *     compares the address *after* the instruction, so that each is followed by
 *     one more instruction inside the range.
 *   - clone, fork, vfork and exit cannot be made in another one's place: the gate
 *     is closed and the thread makes the call itself. What else happens in that
 *     operation goes unseen, and `let_through` says so.
 *   - rt_sigreturn, at the end of a signal handler of the allocator's own, has to find the
 *     stack as it is: the thread is sent to our own such call, which may pass.
 *   - SIGSYS stays open in its own handler (SA_NODEFER): a profiling signal that arrives
 *     there finds the gate open, and its handler's system call, forced on a thread that
 *     blocks it, would be the process's end. The handler may be entered anew at any
 *     point: it works on its own stack and by atomic additions.
 *   - An allocator that blocks every signal would be killed by the next SIGSYS,
 *     and one that takes SIGSYS or the dispatch for itself would end the count:
 *     those calls are logged, and carried out without that part.
 *
 * The handler uses only its stack, the log and the registers.
 */
#include "probes/dispatch.h"

#if defined(__x86_64__)

#include <errno.h>
#include <linux/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#define PR_SYS_DISPATCH_ON 1
#endif

/* The allowed range. dispatch_reissue(number, six arguments) makes any call;
 * dispatch_restorer is where the kernel returns to after the handler. */
__asm__(
    ".pushsection .text.dispatch, \"ax\", @progbits\n"
    ".global dispatch_range_start, dispatch_range_end\n"
    ".hidden dispatch_range_start, dispatch_range_end\n"
    "dispatch_range_start:\n"
    ".type dispatch_reissue, @function\n"
    "dispatch_reissue:\n"
    "  movq %rdi, %rax\n"
    "  movq %rsi, %rdi\n"
    "  movq %rdx, %rsi\n"
    "  movq %rcx, %rdx\n"
    "  movq %r8, %r10\n"
    "  movq %r9, %r8\n"
    "  movq 8(%rsp), %r9\n"
    "  syscall\n"
    "  ret\n"
    ".type dispatch_restorer, @function\n"
    "dispatch_restorer:\n"
    "  movq $15, %rax\n" /* __NR_rt_sigreturn */
    "  syscall\n"
    "  ud2\n"
    "dispatch_range_end:\n"
    ".popsection\n");

extern const char dispatch_range_start[], dispatch_range_end[];
long dispatch_reissue(long number, long a, long b, long c, long d, long e, long f);
void dispatch_restorer(void);

/* The kernel's own structure: libc's sigaction would put in its own restorer. */
struct kernel_sigaction {
  void (*handler)(int, siginfo_t *, void *);
  unsigned long flags;
  void (*restorer)(void);
  unsigned long mask;
};

#define SA_RESTORER_FLAG 0x04000000ul
#define SIGSYS_BIT (1ul << (SIGSYS - 1))

static struct syscall_log *shared_log;
static _Thread_local struct syscall_thread *own;

static bool must_be_made_by_the_thread(long number) {
  return number == SYS_clone || number == SYS_clone3 || number == SYS_vfork ||
         number == SYS_fork || number == SYS_exit || number == SYS_exit_group;
}

/* The question what the handler is has an answer: that none was set. */
static long answer_sigaction(const greg_t *regs) {
  struct kernel_sigaction *old = (struct kernel_sigaction *)regs[REG_RDX];
  if (old) *old = (struct kernel_sigaction){0};
  return 0;
}

/* rt_sigprocmask: the mask that counts is the one the handler's return restores. */
static long change_mask(ucontext_t *context, const greg_t *regs) {
  unsigned long *mask = (unsigned long *)&context->uc_sigmask;
  const unsigned long *set = (const unsigned long *)regs[REG_RSI];
  unsigned long *old = (unsigned long *)regs[REG_RDX];
  unsigned long wanted = set ? *set & ~SIGSYS_BIT : 0;
  if (regs[REG_R10] != sizeof *mask) return -EINVAL;
  if (old) *old = *mask;
  if (!set) return 0;
  if (regs[REG_RDI] == SIG_BLOCK) *mask |= wanted;
  else if (regs[REG_RDI] == SIG_UNBLOCK) *mask &= ~wanted;
  else if (regs[REG_RDI] == SIG_SETMASK) *mask = wanted;
  else return -EINVAL;
  return 0;
}

static void on_sigsys(int signal, siginfo_t *info, void *opaque) {
  (void)signal;
  ucontext_t *context = opaque;
  greg_t *regs = context->uc_mcontext.gregs;
  long number = info->si_syscall;
  syscall_log_add(shared_log, own, (uint64_t)number);
  if (must_be_made_by_the_thread(number)) {
    own->gate = GATE_CLOSED;
    own->let_through++;
    regs[REG_RIP] -= 2; /* the length of the syscall instruction: again, and let pass */
    regs[REG_RAX] = number;
  } else if (number == SYS_rt_sigreturn) {
    regs[REG_RIP] = (greg_t)dispatch_restorer; /* the same call, from where it may pass */
  } else if (number == SYS_rt_sigprocmask) {
    regs[REG_RAX] = change_mask(context, regs);
  } else if (number == SYS_rt_sigaction && regs[REG_RDI] == SIGSYS) {
    regs[REG_RAX] = answer_sigaction(regs);
  } else if (number == SYS_prctl && regs[REG_RDI] == PR_SET_SYSCALL_USER_DISPATCH) {
    regs[REG_RAX] = 0;
  } else {
    regs[REG_RAX] = dispatch_reissue(number, regs[REG_RDI], regs[REG_RSI], regs[REG_RDX],
                                     regs[REG_R10], regs[REG_R8], regs[REG_R9]);
  }
}

const char *dispatch_start(struct syscall_log *log) {
  struct kernel_sigaction action = {
      .handler = on_sigsys,
      .flags = SA_SIGINFO | SA_NODEFER | SA_RESTORER_FLAG,
      .restorer = dispatch_restorer,
  };
  shared_log = log;
  if (syscall(SYS_rt_sigaction, SIGSYS, &action, NULL, sizeof action.mask) != 0)
    return strerror(errno);
  return NULL;
}

const char *dispatch_join(struct syscall_thread *thread) {
  own = thread;
  size_t length = (size_t)(dispatch_range_end - dispatch_range_start);
  if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, dispatch_range_start, length,
            &thread->gate) == 0)
    return NULL;
  return errno == EINVAL ? "this kernel has no Syscall User Dispatch" : strerror(errno);
}

bool dispatch_holds(void) {
  struct kernel_sigaction action = {0};
  syscall(SYS_rt_sigaction, SIGSYS, NULL, &action, sizeof action.mask);
  return action.handler == on_sigsys;
}

/* A thread's last calls come from libc, after its own memory may be gone. */
void dispatch_leave(void) { prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0); }

#else

const char *dispatch_start(struct syscall_log *log) {
  (void)log;
  return "Syscall User Dispatch is implemented here for x86-64 only";
}
const char *dispatch_join(struct syscall_thread *thread) {
  (void)thread;
  return "Syscall User Dispatch is implemented here for x86-64 only";
}
bool dispatch_holds(void) { return false; }
void dispatch_leave(void) {}

#endif
