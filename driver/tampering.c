#include "tampering.h"

#include <errno.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/system.h"
#include "base/text.h"

enum change {
  CHANGED_CPUS,
  CHANGED_PRIORITY,
  CHANGED_MASK,
  CHANGED_HANDLERS,
  CHANGED_LIMITS,
  CHANGED_LOCALE,
  CHANGED_FOLDER,
  CHANGED_UMASK,
  CHANGED_USER,
  CHANGED_DESCRIPTORS,
  CHANGED_FLOATS,
  CHANGED_PERSONALITY,
  CHANGED_TIMERS,
  CHANGED_FILTER,
  CHANGED_ENVIRONMENT,
  CHANGES
};

static const char *const change_names[CHANGES] = {
    "CPU affinity", "priority",          "signal mask", "signal handlers", "limits",
    "locale",       "working directory", "umask",       "user",            "standard streams",
    "floating-point modes", "personality", "timers", "filter of system calls", "environment",
};

static _Atomic uint32_t changes; /* a bit each; the threads of the trace meet here */

static void note(enum change change, bool differs) {
  if (differs) atomic_fetch_or(&changes, 1u << change);
}

/* ---- A thread -------------------------------------------------------------------- */

static uint64_t float_modes(void) {
#if defined(__x86_64__)
  uint16_t x87;
  __asm__ volatile("fnstcw %0" : "=m"(x87));
  return (__builtin_ia32_stmxcsr() & 0xffc0u) | (uint64_t)x87 << 32; /* no flags of the past */
#elif defined(__aarch64__)
  uint64_t modes;
  __asm__ volatile("mrs %0, fpcr" : "=r"(modes));
  return modes;
#endif
}

void thread_state_take(struct thread_state *state) {
  struct sched_param parameter = {0};
  memset(state, 0, sizeof *state); /* compared as bytes */
  state->float_modes = float_modes();
  syscall(SYS_sched_getaffinity, 0, sizeof state->cpus, state->cpus);
  syscall(SYS_rt_sigprocmask, 0, NULL, &state->blocked_signals, sizeof state->blocked_signals);
  state->policy = sched_getscheduler(0);
  sched_getparam(0, &parameter);
  state->priority = parameter.sched_priority;
  state->nice = getpriority(PRIO_PROCESS, 0);
}

void thread_state_compare(const struct thread_state *before) {
  struct thread_state now;
  thread_state_take(&now);
  note(CHANGED_CPUS, memcmp(now.cpus, before->cpus, sizeof now.cpus) != 0);
  note(CHANGED_FLOATS, now.float_modes != before->float_modes);
  note(CHANGED_MASK, now.blocked_signals != before->blocked_signals);
  note(CHANGED_PRIORITY, now.policy != before->policy || now.priority != before->priority ||
                             now.nice != before->nice);
}

/* ---- The process ------------------------------------------------------------------- */

#define SIGNALS 64

/* A folder or an open file, whatever its name. */
struct identity {
  dev_t device;
  ino_t inode;
};

static struct process_state {
  struct thread_state thread;
  void *handlers[SIGNALS + 1];
  struct rlimit limits[RLIM_NLIMITS];
  char locale[64];
  struct identity folder;
  struct identity streams[3];
  mode_t umask;
  uid_t users[3];
  gid_t groups[3];
  int personality;
  uint64_t timers;
  uint64_t filters;
  uint64_t environment;
} before;

static struct identity identity_of(int error, const struct stat *status) {
  return error ? (struct identity){0, 0} : (struct identity){status->st_dev, status->st_ino};
}

static bool same_identity(struct identity a, struct identity b) {
  return a.device == b.device && a.inode == b.inode;
}

/* SIGSYS is the syscalls probe's own, and looked after there; libc keeps the first
 * real-time signals to itself. */
static bool is_the_subjects(int signal) {
  return signal != SIGSYS && (signal < 32 || signal >= SIGRTMIN);
}

/* The kernel's own structure begins with the handler; libc's may not. */
static void take_handlers(void **handlers) {
  for (int signal = 1; signal <= SIGNALS; signal++) {
    void *action[8] = {0};
    if (is_the_subjects(signal))
      syscall(SYS_rt_sigaction, signal, NULL, action, sizeof(uint64_t));
    handlers[signal] = action[0];
  }
}

/* What runs, and how late the kernel may be. */
static uint64_t timers(void) {
  uint64_t found = (uint64_t)prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) << 3;
  for (int which = 0; which < 3; which++) {
    struct itimerval timer = {0};
    syscall(SYS_getitimer, which, &timer);
    if (timer.it_value.tv_sec || timer.it_value.tv_usec) found |= 1u << which;
  }
  return found;
}

/* How many there are; the user's own, of a container, are among them. */
static uint64_t filters(void) {
  static char status[8192];
  read_text("/proc/self/status", status, sizeof status);
  return text_field(status, "\nSeccomp:") + text_field(status, "\nSeccomp_filters:") * 4;
}

extern char **__environ;

/* FNV-1a of all variables, in their order. */
static uint64_t environment(void) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char **variable = __environ; variable && *variable; variable++)
    for (const char *at = *variable;; at++) {
      hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
      if (!*at) break;
    }
  return hash;
}

static void take_state(struct process_state *state) {
  struct stat status;
  memset(state, 0, sizeof *state); /* compared as bytes */
  thread_state_take(&state->thread);
  take_handlers(state->handlers);
  for (int i = 0; i < RLIM_NLIMITS; i++) getrlimit(i, &state->limits[i]);
  const char *locale = setlocale(LC_ALL, NULL);
  bool own = uselocale((locale_t)0) != LC_GLOBAL_LOCALE;
  strncpy(state->locale, own || !locale ? "(a thread's own)" : locale, sizeof state->locale - 1);
  state->folder = identity_of(stat(".", &status), &status);
  for (int fd = 0; fd < 3; fd++) state->streams[fd] = identity_of(fstat(fd, &status), &status);
  state->umask = umask(0);
  umask(state->umask);
  if (getresuid(&state->users[0], &state->users[1], &state->users[2]) != 0 ||
      getresgid(&state->groups[0], &state->groups[1], &state->groups[2]) != 0)
    memset(state->users, 0xff, sizeof state->users); /* as no other user has */
  state->personality = personality(0xffffffff);
  state->timers = timers();
  state->filters = filters();
  state->environment = environment();
}

void tampering_watch(void) { take_state(&before); }

static void compare(void) {
  static struct process_state now;
  take_state(&now);
  thread_state_compare(&before.thread);
  note(CHANGED_HANDLERS, memcmp(now.handlers, before.handlers, sizeof now.handlers) != 0);
  note(CHANGED_LIMITS, memcmp(now.limits, before.limits, sizeof now.limits) != 0);
  note(CHANGED_LOCALE, strcmp(now.locale, before.locale) != 0);
  note(CHANGED_FOLDER, !same_identity(now.folder, before.folder));
  note(CHANGED_UMASK, now.umask != before.umask);
  note(CHANGED_USER, memcmp(now.users, before.users, sizeof now.users) != 0 ||
                         memcmp(now.groups, before.groups, sizeof now.groups) != 0);
  note(CHANGED_PERSONALITY, now.personality != before.personality);
  note(CHANGED_TIMERS, now.timers != before.timers);
  note(CHANGED_FILTER, now.filters != before.filters);
  note(CHANGED_ENVIRONMENT, now.environment != before.environment);
  for (int fd = 0; fd < 3; fd++)
    note(CHANGED_DESCRIPTORS, !same_identity(now.streams[fd], before.streams[fd]));
}

void tampering_report(struct json *json) {
  compare();
  json_open_array(json, "tampered");
  for (int change = 0; change < CHANGES; change++)
    if (atomic_load(&changes) & (1u << change)) json_string(json, NULL, change_names[change]);
  json_close_array(json);
}
