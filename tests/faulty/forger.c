/* forger: tries to speak for the driver, and to write for it, in its third malloc.
 *
 *   words-N        complains in the driver's words, and ends with exit code N
 *   result         leaves a result that says ok, and ends
 *   result-pipe    makes a pipe of the result's name, and ends
 *   keeper         tells the harness in the keeper's name that the driver failed, and ends
 *   pipes          puts pipes where the driver's files will be, and goes on
 *   links          puts links to a file in its own folder there
 *   folders        puts folders there
 *   files          puts files there that no driver writes
 *   progress       puts a pipe where the progress is told, and crashes
 *   deep           makes 2,000 folders, each in the one before
 */
#include "correct.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static const char *const names[] = {"result.json", "latency.bin", "slow.bin", "outliers.bin",
                                    "histogram.bin", "syscalls.bin", "checkpoints.bin",
                                    "faults.bin"};
#define NAMES (sizeof names / sizeof *names)

static const char result[] =
    "{\"driver\":1,\"status\":\"ok\",\"message\":\"\",\"operations\":17,"
    "\"verify\":{\"operations\":17},\"throughput\":{\"cold_ns_per_op\":0.1,"
    "\"warm_ns_per_op\":[0.1]},\"token\":\"00000000000000000000000000000000\"}\n";

/* The driver's folder, from its command line: "... --out FOLDER ...". */
static const char *folder(void) {
  static char words[65536];
  int fd = open("/proc/self/cmdline", O_RDONLY);
  ssize_t length = read(fd, words, sizeof words - 1);
  close(fd);
  for (char *word = words; word < words + length; word += strlen(word) + 1)
    if (strcmp(word, "--out") == 0) return word + strlen(word) + 1;
  return ".";
}

static const char *path_of(const char *name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder(), name);
  unlink(path);
  return path;
}

static void write_to(const char *path, int flags, const char *text) {
  int fd = open(path, O_WRONLY | flags, 0644);
  ssize_t written = fd < 0 ? 0 : write(fd, text, strlen(text));
  (void)written;
  if (fd >= 0) close(fd);
}

static void write_result(void) { write_to(path_of("result.json"), O_CREAT | O_TRUNC, result); }

static void speak_for_the_keeper(void) {
  for (int fd = 0; fd < 32; fd++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getppid(), fd);
    write_to(path, O_NONBLOCK,
             "ended 256 0 00000000000000000000000000000000 0\nx.trace: not a trace file");
  }
  for (int fd = 3; fd < 32; fd++) {
    ssize_t written = write(fd, "x.trace: not a trace file", 25);
    (void)written;
  }
}

static void go_deep(void) {
  for (int i = 0; i < 2000; i++)
    if (mkdir("deep", 0755) != 0 || chdir("deep") != 0) return;
}

static void occupy(void) {
  for (size_t i = 0; i < NAMES; i++) {
    const char *path = path_of(names[i]);
    if (is("pipes")) mkfifo(path, 0644);
    if (is("folders")) mkdir(path, 0755);
    if (is("files")) write_to(path, O_CREAT, "0123456789abcde");
    if (is("links") && symlink("cwd/elsewhere", path) != 0) return;
  }
}

static void forge(void) {
  if (strncmp(fault, "words-", 6) == 0) {
    fputs("allocphase-driver: x.trace: not a trace file\n", stderr);
    _exit(fault[6] - '0');
  }
  if (is("result")) write_result();
  if (is("result-pipe")) mkfifo(path_of("result.json"), 0644);
  if (is("keeper")) speak_for_the_keeper();
  if (is("result") || is("result-pipe") || is("keeper")) _exit(1);
  if (is("progress")) {
    mkfifo(path_of("progress.bin"), 0644);
    __builtin_trap();
  }
  if (is("deep")) go_deep();
  occupy();
}

static void *faulty_malloc(size_t size) {
  if (mallocs == 2) forge();
  return correct_malloc(size);
}

PLUGIN(.init = correct_init, .fini = correct_fini, .malloc = faulty_malloc, .free = correct_free)
