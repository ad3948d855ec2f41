/* keeper.c: the small process between the harness and the process that measures.
 *
 * An allocator may fork, and its child may leave the process group and the session:
 * killing a group does not end that. So the keeper is a subreaper: whoever loses its
 * parent below it becomes its child. When waitpid says that there are no children,
 * nothing is left, and no list of processes has to be trusted for that. It works as an
 * ordinary user and in any container; a cgroup would have to be delegated first.
 *
 * Limits, and how they hold:
 *   time         a monotonic clock: neither a clock that is set nor a suspend counts
 *   memory       what is resident in all processes together, looked at 20 times a
 *                second. Not RLIMIT_AS: many allocators reserve address space that
 *                they never use
 *   processes    counted when the machine has many more of them than before, and every
 *                two seconds. When they are very many, the command's group is stopped
 *                first, by one call: what doubles would be faster than any counting.
 *                RLIMIT_NPROC stands behind that, far above, since it counts the user's
 *                other work, too; root is not held by it. So the keeper is scheduled
 *                before everybody else, where it may be: one that has to wait for its
 *                turn among thousands ends nothing. Where it is root and may not, a
 *                bomb that doubles can take the machine
 *   file size    RLIMIT_FSIZE; what would go beyond it fails, and kills nobody
 *   disk         what its folder has (space.h)
 *   core files   none
 *   privileges   none are gained by what the command starts (PR_SET_NO_NEW_PRIVS), and root's
 *                are given up
 *   fence        files and signals, where the kernel has it (fence.h)
 *
 * If the kernel runs out of memory first, the command is what it takes
 * (oom_score_adj). If the harness ends, however it does, the keeper is told and ends
 * the rest. If the keeper itself is killed, the command dies with it; what it has
 * forked does not: only for that nothing stands in.
 *
 * Its child may tell what it failed at, as long as that is known to be its own word
 * (base/channel.h). And it reads the clock before and after: a process cannot give another
 * rate to that.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/system.h"
#include "fence.h"
#include "space.h"
#include "trace.h"
#include "tree.h"

#define POLL_NS 50000000u
#define POLLS_BETWEEN_SCANS 40
/* Others start processes as well; a scan of /proc takes a millisecond or two. */
#define SUSPICIOUS_GROWTH 32
#define ALARMING_GROWTH 64

#define MOST_WRITABLE 16
#define MOST_FILES_OF_A_FOLDER 10000

struct keeper {
  pid_t parent;
  uint64_t timeout_ns;
  uint64_t memory_bytes;
  uint64_t file_bytes;
  uint64_t disk_bytes;
  uint64_t processes;
  const char *writable[MOST_WRITABLE]; /* fence.h; none: there is no fence */
  size_t writable_count;
  struct space space; /* in the first of them */
  char **command;
  pid_t child;
  int channel;  /* our end of it, and what the child gets: base/channel.h */
  int childs_channel, childs_token;
  char token[CHANNEL_TOKEN_BYTES + 1];
  struct clock clock;
  int stat; /* of the child; -1 when there is none */
  sigset_t signals, callers_signals;
  int callers_policy, callers_nice;
};

/* ---- Options ----------------------------------------------------------------------- */

static uint64_t number(const char *option, const char *text) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end || errno) die(EXIT_USAGE, option, "wants a whole number");
  return value;
}

static void add_writable(struct keeper *keeper, const char *path) {
  if (keeper->writable_count == MOST_WRITABLE) die(EXIT_USAGE, "--writable", "too many of them");
  keeper->writable[keeper->writable_count++] = path;
}

static void parse(struct keeper *keeper, int argc, char **argv) {
  int i = 0;
  for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
    const char *name = argv[i], *value = argv[i + 1];
    if (!strcmp(name, "--parent")) keeper->parent = (pid_t)number(name, value);
    else if (!strcmp(name, "--timeout-ns")) keeper->timeout_ns = number(name, value);
    else if (!strcmp(name, "--memory-bytes")) keeper->memory_bytes = number(name, value);
    else if (!strcmp(name, "--file-bytes")) keeper->file_bytes = number(name, value);
    else if (!strcmp(name, "--disk-bytes")) keeper->disk_bytes = number(name, value);
    else if (!strcmp(name, "--processes")) keeper->processes = number(name, value);
    else if (!strcmp(name, "--writable")) add_writable(keeper, value);
    else die(EXIT_USAGE, name, "no such option of the keeper");
  }
  keeper->command = argv + i + 1;
  if (i + 1 >= argc) die(EXIT_USAGE, "--keep", "wants -- and a command");
}

/* ---- The channel ---------------------------------------------------------------------- */

#define FD_ABOVE_CHANNEL 10

static int moved_up(int fd) {
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, FD_ABOVE_CHANNEL);
  if (fd < 0 || moved < 0) die(EXIT_TOOL, "cannot make a channel", strerror(errno));
  close(fd);
  return moved;
}

static void make_token(char *token) {
  unsigned char random[CHANNEL_TOKEN_BYTES / 2];
  int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  if (read(fd, random, sizeof random) != sizeof random)
    die(EXIT_TOOL, "/dev/urandom", strerror(errno));
  close(fd);
  for (size_t i = 0; i < sizeof random; i++) snprintf(token + 2 * i, 3, "%02x", random[i]);
}

/* A socket, not a pipe: who finds its number in /proc can open no end of it. */
static void make_channel(struct keeper *keeper) {
  int sockets[2] = {-1, -1}, pipe[2] = {-1, -1};
  socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets);
  keeper->channel = moved_up(sockets[0]);
  keeper->childs_channel = moved_up(sockets[1]);
  make_token(keeper->token);
  if (pipe2(pipe, O_CLOEXEC) != 0) die(EXIT_TOOL, "cannot make a pipe", strerror(errno));
  keeper->childs_token = moved_up(pipe[0]);
  if (write(pipe[1], keeper->token, CHANNEL_TOKEN_BYTES) != CHANNEL_TOKEN_BYTES)
    die(EXIT_TOOL, "cannot write to a pipe", strerror(errno));
  close(pipe[1]);
}

/* What the child failed at before anybody else's code ran; "" when it did not. */
static const char *failure(const struct keeper *keeper) {
  static char text[1024];
  ssize_t length = recv(keeper->channel, text, sizeof text - 1, MSG_DONTWAIT);
  text[length > 0 ? length : 0] = '\0';
  return text;
}

/* ---- The child, up to its command ------------------------------------------------------ */

/* The kernel counts tasks modulo 2^16 here. */
static uint16_t tasks_of_the_machine(void) {
  struct sysinfo info;
  return sysinfo(&info) == 0 ? info.procs : 0;
}

static void limit(int resource, rlim_t value) {
  struct rlimit limit;
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur <= value) return;
  limit.rlim_cur = limit.rlim_max = value;
  setrlimit(resource, &limit);
}

static void write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t written = write(fd, text, strlen(text));
  (void)written; /* as it was, then */
  close(fd);
}

/* Reset on fork: see come_first(). A caller that leaves the machine to others (SCHED_IDLE,
 * SCHED_BATCH) does so with what it starts; one that comes before them does not. */
static void take_the_callers_turn(const struct keeper *keeper) {
  struct sched_param none = {0};
  int policy = keeper->callers_policy;
  if (policy == SCHED_IDLE || policy == SCHED_BATCH) sched_setscheduler(0, policy, &none);
  setpriority(PRIO_PROCESS, 0, keeper->callers_nice);
}

_Noreturn static void become_command(const struct keeper *keeper, pid_t keepers_pid) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* unlike us: see start() */
  if (getppid() != keepers_pid) _exit(EXIT_TOOL); /* it died before that was said */
  setsid();
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  take_the_callers_turn(keeper);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, keeper->file_bytes);
  if (keeper->processes < TRACE_MAX_THREADS)
    limit(RLIMIT_NPROC, tasks_of_the_machine() + TRACE_MAX_THREADS + keeper->processes);
  signal(SIGXFSZ, SIG_IGN);
  write_text("/proc/self/oom_score_adj", "1000");
  int nowhere = open("/dev/null", O_WRONLY);
  if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0) die(EXIT_TOOL, "/dev/null", strerror(errno));
  if (nowhere != STDOUT_FILENO) close(nowhere);
  dup2(keeper->childs_channel, CHANNEL_FD);
  dup2(keeper->childs_token, CHANNEL_TOKEN_FD);
  channel_open(false);
  sigprocmask(SIG_SETMASK, &keeper->callers_signals, NULL);
  fence_give_up_privileges();
  if (keeper->writable_count) fence_close(keeper->writable, keeper->writable_count);
  execv(keeper->command[0], keeper->command);
  die(EXIT_TOOL, keeper->command[0], strerror(errno));
}

/* ---- Limits -------------------------------------------------------------------------------- */

struct reading {
  uint64_t bytes;
  uint16_t threads;
};

/* Of "pid (name) state ...": the 18th and the 22nd word behind the name. */
static struct reading read_child(const struct keeper *keeper) {
  char text[1024];
  ssize_t length = pread(keeper->stat, text, sizeof text - 1, 0);
  text[length > 0 ? length : 0] = '\0';
  const char *word = strrchr(text, ')');
  unsigned long long words[23] = {0};
  for (int i = 1; word && i < 23; i++) {
    word = strchr(word, ' ');
    if (word) words[i] = strtoull(++word, NULL, 10);
  }
  return (struct reading){words[22] * (uint64_t)sysconf(_SC_PAGESIZE), (uint16_t)words[18]};
}

/* Returns the reason to end it, or NULL. */
static const char *scan(const struct keeper *keeper) {
  uint64_t bytes = 0, count = 0;
  size_t length;
  const struct process *found = tree_look(&length);
  for (size_t i = 0; i < length; i++) count += found[i].ours;
  if (count > keeper->processes) return "processes";
  for (size_t i = 0; count > 1 && i < length; i++)
    if (found[i].ours) bytes += tree_share_bytes(found[i].pid);
  return bytes > keeper->memory_bytes ? "memory" : NULL;
}

static const char *scan_standing_still(const struct keeper *keeper) {
  kill(-keeper->child, SIGSTOP);
  const char *reason = scan(keeper);
  if (!reason) kill(-keeper->child, SIGCONT);
  return reason;
}

/* The child's own threads are no processes. */
static const char *beyond_a_limit(struct keeper *keeper, uint32_t poll) {
  static uint16_t others_at_scan;
  struct reading child = read_child(keeper);
  uint16_t others = (uint16_t)(tasks_of_the_machine() - child.threads);
  if (poll == 0) others_at_scan = others;
  if (child.bytes > keeper->memory_bytes) return "memory";
  if (space_is_exceeded(&keeper->space, keeper->child)) return "disk";
  if (space_memory_is_exceeded(&keeper->space, keeper->child, keeper->memory_bytes)) return "memory";
  int growth = (int16_t)(others - others_at_scan);
  if (growth < 0) others_at_scan = others;
  bool due = poll % POLLS_BETWEEN_SCANS == POLLS_BETWEEN_SCANS - 1;
  if (growth <= SUSPICIOUS_GROWTH && !due) return NULL;
  others_at_scan = others;
  return growth > ALARMING_GROWTH ? scan_standing_still(keeper) : scan(keeper);
}

/* ---- Watching ------------------------------------------------------------------------------- */

static int wait_for_signal(const struct keeper *keeper, uint64_t wait_ns) {
  struct timespec wait = {(time_t)(wait_ns / 1000000000u), (long)(wait_ns % 1000000000u)};
  return sigtimedwait(&keeper->signals, NULL, &wait);
}

/* Reaps orphans that have come to us; the child stays a zombie, so that its number
 * and its group's are nobody else's before the group is killed. */
static bool child_ended(const struct keeper *keeper) {
  for (;;) {
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || !info.si_pid) return false;
    if (info.si_pid == keeper->child) return true;
    waitpid(info.si_pid, NULL, 0);
  }
}

static const char *watch(struct keeper *keeper) {
  uint64_t end_ns = now_ns() + keeper->timeout_ns;
  for (uint32_t poll = 0;; poll++) {
    if (child_ended(keeper)) return "ended";
    uint64_t start_ns = now_ns();
    if (start_ns >= end_ns) return "timeout";
    const char *reason = beyond_a_limit(keeper, poll);
    if (reason) return reason;
    uint64_t left_ns = end_ns - start_ns;
    int signal = wait_for_signal(keeper, left_ns < POLL_NS ? left_ns : POLL_NS);
    if (signal > 0 && signal != SIGCHLD) return "stopped";
  }
}

/* ---- The end -------------------------------------------------------------------------------- */

/* A number may have a new owner since the scan: the process that is held by pidfd is
 * still the one whose parent was seen, or is left to the next round. */
static void kill_if_still(const struct process *process) {
  int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
  if (fd >= 0 && tree_parent_of(process->pid) == process->parent)
    syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
  bool no_pidfds = fd < 0 && (errno == ENOSYS || errno == EPERM); /* before Linux 5.3 */
  if (no_pidfds && process->parent == getpid()) kill(process->pid, SIGKILL);
  if (fd >= 0) close(fd);
}

/* Returns the child's wait status; `killed` counts the others that had to be. */
static int reap(const struct keeper *keeper, int *killed) {
  static int childs_status;
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == keeper->child) childs_status = status;
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ++*killed;
  }
  return childs_status;
}

static bool anybody_left(void) {
  siginfo_t info;
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* The group first, at one stroke: nobody in it can fork away from that. Then those who
 * have left it, until there is nobody. */
static int end_all(const struct keeper *keeper, int *killed) {
  kill(-keeper->child, SIGKILL);
  kill(keeper->child, SIGKILL);
  int status = reap(keeper, killed);
  while (anybody_left()) {
    size_t length;
    const struct process *found = tree_look(&length);
    for (size_t i = 0; i < length; i++)
      if (found[i].ours) kill_if_still(&found[i]);
    wait_for_signal(keeper, 1000000);
    status = reap(keeper, killed);
  }
  return status;
}

/* The child does not inherit it, nor what was before. Not permitted to all. */
static void come_first(struct keeper *keeper) {
  keeper->callers_policy = sched_getscheduler(0);
  keeper->callers_nice = getpriority(PRIO_PROCESS, 0);
  struct sched_param lowest_of_the_real_time = {.sched_priority = 1};
  sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest_of_the_real_time);
}

static void start(struct keeper *keeper) {
  pid_t own_pid = getpid();
  sigemptyset(&keeper->signals);
  const int awaited[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
  for (int i = 0; i < 4; i++) sigaddset(&keeper->signals, awaited[i]);
  sigprocmask(SIG_BLOCK, &keeper->signals, &keeper->callers_signals);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != keeper->parent) _exit(EXIT_TOOL);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* our descriptors and memory are nobody's, but root's */
  make_channel(keeper);
  clock_mark(&keeper->clock);
  come_first(keeper);
  keeper->child = fork();
  if (keeper->child < 0) die(EXIT_TOOL, "cannot start a process", strerror(errno));
  if (keeper->child == 0) become_command(keeper, own_pid);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)keeper->child);
  keeper->stat = open(path, O_RDONLY | O_CLOEXEC);
  close(keeper->childs_channel);
  close(keeper->childs_token);
}

int keeper_main(int argc, char **argv) {
  struct keeper keeper = {
      .timeout_ns = UINT64_MAX / 4,
      .memory_bytes = UINT64_MAX,
      .file_bytes = UINT64_MAX,
      .disk_bytes = UINT64_MAX,
      .processes = UINT64_MAX,
      .parent = getppid(),
  };
  parse(&keeper, argc, argv);
  tree_prepare();
  if (keeper.writable_count)
    space_watch(&keeper.space, keeper.writable[0], keeper.disk_bytes, MOST_FILES_OF_A_FOLDER);
  start(&keeper);
  const char *reason = watch(&keeper);
  double hz = clock_hz_since(&keeper.clock);
  int left = 0;
  int status = end_all(&keeper, &left);
  space_remove_shared_memory(keeper.child);
  dprintf(STDOUT_FILENO, "%s %d %d %s %.0f\n%s", reason, status, left, keeper.token, hz,
          failure(&keeper));
  return EXIT_MEASURED;
}
