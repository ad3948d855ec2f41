#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/system.h"
#include "base/text.h"
#include "conditions.h"
#include "follow.h"
#include "process_list.h"
#include "session.h"
#include "syscall_count.h"
#include "tree.h"

#define MAX_LOOKS (1u << 20) /* of nearly six hours */

/* As it stands in tree.bin. */
struct look {
  uint64_t time_ns; /* since the command was started */
  uint64_t rss_bytes;
};

struct program {
  const char *probe;
  const char *folder;
  const char *preload;
  const char *input; /* NULL: none */
  uint64_t observed_ns; /* at most: longer is no call counted */
  cpu_set_t cpus;
  char **command;
  pid_t child;
  bool followed; /* follow.h */
  uint64_t start_ns, end_ns;
  uint64_t main_cpu_ns, main_delay_ns; /* of the command's first thread; 0 where nobody keeps it */
  int status;
  struct look *looks;
  size_t look_count;
};

/* ---- Options -------------------------------------------------------------------------- */

static void parse(struct program *program, int argc, char **argv) {
  int i = 0;
  program->probe = argc ? argv[i++] : "";
  program->observed_ns = UINT64_MAX / 2;
  CPU_ZERO(&program->cpus);
  for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
    const char *name = argv[i], *value = argv[i + 1];
    if (!strcmp(name, "--kept")) channel_open(false);
    else if (!strcmp(name, "--out")) program->folder = value;
    else if (!strcmp(name, "--preload")) program->preload = value;
    else if (!strcmp(name, "--input")) program->input = value;
    else if (!strcmp(name, "--observed-ns")) program->observed_ns = text_number(value);
    else if (!strcmp(name, "--cpu")) CPU_SET((size_t)text_number(value), &program->cpus);
    else die(EXIT_USAGE, name, "no such option of a program");
  }
  program->command = argv + i + 1;
  if (i + 1 >= argc) die(EXIT_USAGE, "--program", "wants -- and a command");
  if (!program->folder || !program->preload) die(EXIT_USAGE, "--program", "wants --out, --preload");
}

static bool probes(const struct program *program, const char *probe) {
  return strcmp(program->probe, probe) == 0;
}

static const char *path_of(const struct program *program, const char *name) {
  static char path[4096];
  struct text text = text_in(path, sizeof path);
  text_add(&text, program->folder);
  text_add(&text, "/");
  text_add(&text, name);
  return path;
}

/* ---- Starting it ------------------------------------------------------------------------ */

static int opened(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC, 0600);
  if (fd < 0) die(EXIT_TOOL, path, strerror(errno));
  return fd;
}

/* In the child. What it cannot do is told by a number through `failed`, which is closed
 * without a word when the command has taken over. */
_Noreturn static void become_command(const struct program *program, int in, int out, int failed) {
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  setenv("LD_PRELOAD", program->preload, 1);
  execvp(program->command[0], program->command);
  int error = errno;
  ssize_t told = write(failed, &error, sizeof error);
  _exit(told == sizeof error ? 127 : 126);
}

static void end_with(const char *status, const char *message, const struct program *program) {
  struct json json;
  json_start(&json);
  json_integer(&json, "driver", DRIVER_VERSION);
  json_string(&json, "status", status);
  json_string(&json, "message", message);
  json_finish(&json, path_of(program, "result.json"));
  _exit(EXIT_MEASURED);
}

/* NULL: nobody has to know of its processes. */
static const struct follower *follower_of(const struct program *program) {
  if (probes(program, "program_syscalls")) return syscall_count_start(program->observed_ns);
  if (probes(program, "program_calls")) return process_list_start(path_of(program, "processes"));
  return NULL;
}

static void attach(struct program *program, const struct follower *follower) {
  const char *reason = follow_attach(program->child, follower);
  program->followed = !reason;
  if (!reason) return;
  if (probes(program, "program_syscalls")) {
    syscall_count_is_blind(reason);
  } else {
    unlink(path_of(program, "processes")); /* an empty one would say that there were none */
    conditions_lack("a look at every process", reason);
  }
}

static void start(struct program *program) {
  int in = opened(program->input ? program->input : "/dev/null", O_RDONLY);
  int out = opened(path_of(program, "stdout"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND);
  close(opened(path_of(program, "witness"), O_WRONLY | O_CREAT | O_EXCL));
  int failure[2], error;
  if (pipe2(failure, O_CLOEXEC) != 0) die(EXIT_TOOL, "cannot make a pipe", strerror(errno));
  const struct follower *follower = follower_of(program);
  if (follower) follow_prepare();
  program->start_ns = now_ns();
  program->child = fork();
  if (program->child < 0) die(EXIT_TOOL, "cannot start a process", strerror(errno));
  if (program->child == 0) {
    if (follower) follow_wait();
    become_command(program, in, out, failure[1]);
  }
  close(failure[1]);
  if (follower) attach(program, follower);
  if (read(failure[0], &error, sizeof error) == sizeof error) {
    char line[512];
    struct text text = text_in(line, sizeof line);
    text_add(&text, program->command[0]);
    text_add(&text, ": cannot be started: ");
    text_add(&text, strerror(error));
    end_with("unsupported", line, program);
  }
  close(failure[0]);
  close(in);
  close(out);
}

/* ---- While it runs -------------------------------------------------------------------- */

/* Nobody continues what has stopped itself: if it is killed for its time, the file `stopped` says
 * which signal that was. The keeper stops and continues its group itself, to count a crowd. */
static void tell_stop(const struct program *program, const siginfo_t *info) {
  const char *path = path_of(program, "stopped");
  if (info->si_code == CLD_CONTINUED) {
    unlink(path);
    return;
  }
  int fd = opened(path, O_WRONLY | O_CREAT | O_TRUNC);
  dprintf(fd, "%d", info->si_status);
  close(fd);
}

/* With WNOHANG, whether it has; without, it waits until it has. */
static bool has_ended(const struct program *program, int flags) {
  for (;;) {
    siginfo_t info = {0};
    id_t child = (id_t)program->child;
    int stops = WSTOPPED | WCONTINUED;
    if (waitid(P_PID, child, &info, WEXITED | stops | WNOWAIT | flags) != 0) continue;
    if (!info.si_pid) return false;
    if (info.si_code != CLD_STOPPED && info.si_code != CLD_CONTINUED) return true;
    if (waitid(P_PID, child, &info, stops | WNOHANG) == 0 && info.si_pid) tell_stop(program, &info);
  }
}

static void look(struct program *program) {
  size_t count;
  const struct process *found = tree_look(&count);
  struct look seen = {.time_ns = now_ns() - program->start_ns};
  for (size_t i = 0; i < count; i++)
    if (found[i].ours) seen.rss_bytes += tree_share_bytes(found[i].pid);
  if (program->look_count < MAX_LOOKS) program->looks[program->look_count++] = seen;
}

static void watch_memory(struct program *program) {
  const struct timespec pause = {0, 1000000000 / TREE_LOOKS_PER_SECOND};
  tree_prepare();
  program->looks = take_lazy_pages(MAX_LOOKS * sizeof *program->looks);
  do {
    look(program);
    nanosleep(&pause, NULL);
  } while (!has_ended(program, WNOHANG));
}

/* "<ns on a CPU> <ns ready without one> ...", also of a process that has ended and that
 * nobody has waited for. */
static void read_schedule(struct program *program) {
  char path[64], text[64];
  snprintf(path, sizeof path, "/proc/%d/schedstat", (int)program->child);
  read_text(path, text, sizeof text);
  const char *second = strchr(text, ' ');
  program->main_cpu_ns = text_number(text);
  program->main_delay_ns = second ? text_number(second) : 0;
}

/* What it left and has ended meanwhile counts as its own; what still runs is the keeper's. */
static void wait_for_end(struct program *program) {
  if (program->followed) {
    program->status = follow_to_end();
    program->end_ns = now_ns();
  } else {
    has_ended(program, 0);
    program->end_ns = now_ns();
    read_schedule(program);
    waitpid(program->child, &program->status, 0);
  }
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
}

/* ---- What it took -------------------------------------------------------------------- */

static uint64_t ns(struct timeval time) {
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

static uint64_t peak(const struct program *program) {
  uint64_t most = 0;
  for (size_t i = 0; i < program->look_count; i++)
    if (program->looks[i].rss_bytes > most) most = program->looks[i].rss_bytes;
  return most;
}

static void report(const struct program *program) {
  struct json json;
  struct rusage usage;
  struct stat output = {0};
  getrusage(RUSAGE_CHILDREN, &usage);
  stat(path_of(program, "stdout"), &output);
  json_start(&json);
  json_integer(&json, "driver", DRIVER_VERSION);
  json_open(&json, program->probe);
  json_integer(&json, "wall_ns", program->end_ns - program->start_ns);
  json_integer(&json, "user_ns", ns(usage.ru_utime));
  json_integer(&json, "system_ns", ns(usage.ru_stime));
  json_integer(&json, "main_cpu_ns", program->main_cpu_ns);
  json_integer(&json, "main_delay_ns", program->main_delay_ns);
  json_integer(&json, "largest_rss_bytes", (uint64_t)usage.ru_maxrss * 1024);
  json_integer(&json, "minor_faults", (uint64_t)usage.ru_minflt);
  json_integer(&json, "major_faults", (uint64_t)usage.ru_majflt);
  json_integer(&json, "voluntary_switches", (uint64_t)usage.ru_nvcsw);
  json_integer(&json, "involuntary_switches", (uint64_t)usage.ru_nivcsw);
  json_integer(&json, "wait_status", (uint64_t)program->status);
  json_integer(&json, "output_bytes", (uint64_t)output.st_size);
  if (program->looks) json_integer(&json, "peak_tree_rss_bytes", peak(program));
  if (probes(program, "program_syscalls")) syscall_count_report(&json);
  json_close(&json);
  conditions_report(&json);
  json_string(&json, "status", "ok");
  json_string(&json, "message", "");
  if (program->looks)
    write_file(path_of(program, "tree.bin"), program->looks,
               program->look_count * sizeof *program->looks);
  json_finish(&json, path_of(program, "result.json"));
}

int program_main(int argc, char **argv) {
  static struct program program;
  parse(&program, argc, argv);
  channel_close();
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (CPU_COUNT(&program.cpus) && sched_setaffinity(0, sizeof program.cpus, &program.cpus) != 0)
    conditions_lack("pinning to CPUs", strerror(errno));
  start(&program);
  if (probes(&program, "program_memory")) watch_memory(&program);
  wait_for_end(&program);
  report(&program);
  return EXIT_MEASURED;
}
