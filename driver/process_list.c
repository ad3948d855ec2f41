#include "process_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/system.h"
#include "base/text.h"

static int lines = -1;

static void tell(const char *what, pid_t pid, uint64_t bytes) {
  char link[64], program[1024], line[1200];
  snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
  ssize_t length = readlink(link, program, sizeof program - 1);
  program[length > 0 ? length : 0] = '\0';
  int written = snprintf(line, sizeof line, "%s\t%d\t%llu\t%s\n", what, (int)pid,
                         (unsigned long long)bytes, program);
  if (written <= 0 || (size_t)written >= sizeof line) return;
  if (write(lines, line, (size_t)written) < 0)
    die(EXIT_TOOL, "a line of a process", strerror(errno));
}

/* The peak may be of a moment with other files: what is there at the end is all that is known. */
static uint64_t anonymous_peak_bytes(const char *status) {
  uint64_t peak = text_field(status, "\nVmHWM:");
  uint64_t others = text_field(status, "\nRssFile:") + text_field(status, "\nRssShmem:");
  return peak > others ? (peak - others) * 1024 : 0;
}

static void on_exec(pid_t pid, pid_t former) {
  (void)former;
  tell("exec", pid, 0);
}

/* Each thread stops at its end; the first one's is the process's. */
static void on_exit_of(pid_t tid) {
  char path[64], status[4096];
  snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
  if (!read_text(path, status, sizeof status)) return;
  if (text_field(status, "\nTgid:") == (uint64_t)tid)
    tell("exit", tid, anonymous_peak_bytes(status));
}

const struct follower *process_list_start(const char *path) {
  static const struct follower follower = {.on_exec = on_exec, .on_exit = on_exit_of};
  lines = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  if (lines < 0) die(EXIT_TOOL, path, strerror(errno));
  return &follower;
}
