/* trespass: in its third malloc it reaches for what is not its own; how often it succeeded is
 * among its stats.
 *
 *   overwrite    the trace that the processes after it replay
 *   truncate     the same, by name
 *   rename       the same, away
 *   remove       all files beside its folder
 *   link         puts a link in the place of its own folder
 *   append       to what the user has at home: $TRESPASS_TARGET
 *   long-files   writes files of 32 MiB into its folder, one after the other
 *   many-files   makes a million small ones
 *   one-file     makes one of 10 GiB, a hole
 *   shared       makes System V shared memory, and leaves it
 *   kill-parent, kill-harness, stop-harness
 *                a signal to the process that watches it, and to that one's parent
 */
#include "correct.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

static int succeeded;

static void count(int result) { succeeded += result >= 0; }

/* What follows an option in the driver's command line. */
static char *option(const char *name) {
  static char words[65536], found[4096];
  int fd = open("/proc/self/cmdline", O_RDONLY);
  ssize_t length = read(fd, words, sizeof words - 1);
  close(fd);
  for (char *word = words; word < words + length; word += strlen(word) + 1)
    if (strcmp(word, name) == 0) return strcpy(found, word + strlen(word) + 1);
  abort();
}

static void write_to(const char *path, int flags) {
  int fd = open(path, O_WRONLY | flags, 0644);
  count(fd);
  if (fd < 0) return;
  count((int)write(fd, "x", 1) - 1);
  close(fd);
}

static void remove_files(char *folder) {
  DIR *list = opendir(folder);
  for (struct dirent *entry; (entry = readdir(list));)
    if (*entry->d_name != '.') count(unlinkat(dirfd(list), entry->d_name, 0));
  closedir(list);
}

static void rename_to(char *path, const char *ending) {
  char other[8192];
  snprintf(other, sizeof other, "%s%s", path, ending);
  count(rename(path, other));
}

static pid_t parent_of(pid_t pid) {
  char path[64], text[512] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY);
  if (read(fd, text, sizeof text - 1) <= 0) abort();
  close(fd);
  return (pid_t)atoi(strrchr(text, ')') + 4);
}

static void fill_the_disk(int files, size_t bytes) {
  static char zeros[1 << 20];
  for (int i = 0; i < files; i++) {
    char name[32];
    snprintf(name, sizeof name, "file%d", i);
    int fd = open(name, O_WRONLY | O_CREAT, 0644);
    for (size_t done = 0; fd >= 0 && done < bytes; done += sizeof zeros)
      if (write(fd, zeros, sizeof zeros) < 0) return;
    close(fd);
  }
}

static void make_a_hole(void) {
  int fd = open("hole", O_WRONLY | O_CREAT, 0644);
  count(ftruncate(fd, (off_t)10 << 30));
  close(fd);
}

static void share(void) {
  int id = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
  if (id < 0) abort();
  memset(shmat(id, NULL, 0), 1, 1 << 20);
}

static void trespass(void) {
  const char *target = getenv("TRESPASS_TARGET");
  if (is("overwrite")) write_to(option("--trace"), O_TRUNC);
  if (is("truncate")) count(truncate(option("--trace"), 0));
  if (is("rename")) rename_to(option("--trace"), ".gone");
  if (is("remove")) remove_files(dirname(option("--trace")));
  if (is("link")) {
    rename_to(option("--out"), ".gone");
    count(symlink("/", option("--out")));
  }
  if (is("append") && target) write_to(target, O_APPEND | O_CREAT);
  if (is("long-files")) fill_the_disk(1 << 20, 32 << 20);
  if (is("many-files")) fill_the_disk(1000000, 0);
  if (is("one-file")) make_a_hole();
  if (is("shared")) share();
  if (is("kill-parent")) count(kill(getppid(), SIGKILL));
  if (is("kill-harness")) count(kill(parent_of(getppid()), SIGKILL));
  if (is("stop-harness")) count(kill(parent_of(getppid()), SIGSTOP));
}

static void *faulty_malloc(size_t size) {
  if (mallocs == 2) trespass();
  return correct_malloc(size);
}

static void stats(void (*add)(void *, const char *, double), void *context) {
  add(context, "succeeded", succeeded);
}

PLUGIN(.init = correct_init, .fini = correct_fini, .malloc = faulty_malloc, .free = correct_free,
       .stats = stats)
