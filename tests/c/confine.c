/* confine.c: runs a command in a sandbox like a container's.
 *
 *   confine [without ptrace|dispatch|affinity|counters|robust]... -- COMMAND...
 *
 * The filter refuses what Docker's default profile refuses a process without
 * capabilities and a measurement might want: any personality() but the plain ones,
 * performance counters, namespaces, mounts, keys, NUMA policies, userfaultfd. "without"
 * takes more: ptrace(2), Syscall User Dispatch, sched_setaffinity(2); "counters" are refused as a
 * kernel with a high perf_event_paranoid does, which has looked at the flags before; "robust" is
 * what emulators and some sandboxes lack, the list of mutexes that outlive their owner.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif
#define SET_DISPATCH 59u /* PR_SET_SYSCALL_USER_DISPATCH */

static struct sock_filter filter[128];
static unsigned short length;

static void add(unsigned short code, unsigned int value, unsigned char yes, unsigned char no) {
  filter[length++] = (struct sock_filter){code, yes, no, value};
}

static void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offset, 0, 0); }
static void end_with(unsigned int action) { add(BPF_RET | BPF_K, action, 0, 0); }
static unsigned int refusal(int error) { return SECCOMP_RET_ERRNO | (unsigned int)error; }

static void refuse(long number, int error) {
  add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)number, 0, 1);
  end_with(refusal(error));
}

/* The first argument's lower half decides: `value` is refused, or all but `values`. */
static void refuse_argument(long number, unsigned int value) {
  add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)number, 0, 4);
  load(offsetof(struct seccomp_data, args));
  add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
  end_with(refusal(EINVAL));
  end_with(SECCOMP_RET_ALLOW);
}

/* EACCES, but for flags that no kernel knows. */
static void refuse_counters(void) {
  add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)SYS_perf_event_open, 0, 4);
  load(offsetof(struct seccomp_data, args) + 4 * sizeof(uint64_t));
  add(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 1, 0);
  end_with(refusal(EACCES));
  end_with(SECCOMP_RET_ALLOW);
}

static void allow_arguments(long number, const unsigned int *values, unsigned char count) {
  add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)number, 0, (unsigned char)(count + 3));
  load(offsetof(struct seccomp_data, args));
  for (unsigned char i = 0; i < count; i++)
    add(BPF_JMP | BPF_JEQ | BPF_K, values[i], (unsigned char)(count - i), 0);
  end_with(refusal(EPERM));
  end_with(SECCOMP_RET_ALLOW);
}

static void refuse_as_docker_does(void) {
  static const unsigned int plain[] = {0, 0x8, 0x20000, 0x20008, 0xffffffff};
  static const long refused[] = {
      SYS_perf_event_open, SYS_bpf,     SYS_unshare, SYS_setns,        SYS_mount,
      SYS_umount2,         SYS_keyctl,  SYS_add_key, SYS_request_key,  SYS_userfaultfd,
      SYS_get_mempolicy,   SYS_mbind,   SYS_kcmp,    SYS_set_mempolicy, SYS_syslog,
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) refuse(refused[i], EPERM);
  refuse(SYS_clone3, ENOSYS);
  allow_arguments(SYS_personality, plain, sizeof plain / sizeof *plain);
}

static int refuse_more(const char *what) {
  if (strcmp(what, "ptrace") == 0) refuse(SYS_ptrace, EPERM);
  else if (strcmp(what, "affinity") == 0) refuse(SYS_sched_setaffinity, EPERM);
  else if (strcmp(what, "counters") == 0) refuse_counters();
  else if (strcmp(what, "robust") == 0) {
    refuse(SYS_get_robust_list, ENOSYS);
    refuse(SYS_set_robust_list, ENOSYS);
  } else if (strcmp(what, "dispatch") == 0) refuse_argument(SYS_prctl, SET_DISPATCH);
  else return -1;
  return 0;
}

int main(int argc, char **argv) {
  load(offsetof(struct seccomp_data, arch));
  add(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
  end_with(SECCOMP_RET_KILL_PROCESS);
  load(offsetof(struct seccomp_data, nr));
  int at = 1;
  for (; at + 1 < argc && strcmp(argv[at], "without") == 0; at += 2)
    if (refuse_more(argv[at + 1]) != 0) return 2;
  refuse_as_docker_does();
  end_with(SECCOMP_RET_ALLOW);
  if (at + 1 >= argc || strcmp(argv[at], "--") != 0) return 2;
  struct sock_fprog program = {length, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    perror("confine");
    return 2;
  }
  execvp(argv[at + 1], argv + at + 1);
  perror(argv[at + 1]);
  return 2;
}
