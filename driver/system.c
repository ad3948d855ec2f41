#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "text.h"

static pid_t owner;

void system_expect_the_worst(void) { owner = getpid(); }

static bool is_a_copy(void) { return owner && getpid() != owner; }

void say(const char *what, const char *detail) {
  const char *texts[] = {"allocphase-driver: ", what, ": ", detail, "\n"};
  struct iovec parts[5];
  for (int i = 0; i < 5; i++) {
    parts[i].iov_base = (void *)texts[i];
    parts[i].iov_len = strlen(texts[i]);
  }
  if (writev(STDERR_FILENO, parts, 5) < 0) return; /* nowhere left to complain */
}

void die(enum exit_code code, const char *what, const char *detail) {
  if (is_a_copy()) _exit(code);
  say(what, detail);
  _exit(code == EXIT_TOOL && owner ? EXIT_HINDERED : code);
}

/* A disk is never the allocator's doing: who runs the harness has to know. */
static void die_of_file(const char *path, int error) {
  bool disk = error == ENOSPC || error == EDQUOT || error == EROFS || error == EIO;
  if (disk) owner = 0;
  die(EXIT_TOOL, path, strerror(error));
}

static size_t whole_pages(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return bytes ? (bytes + page - 1) & ~(page - 1) : page;
}

static void *take(size_t bytes, int flags) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), room = whole_pages(bytes);
  int protection = PROT_READ | PROT_WRITE;
  char *guard = mmap(NULL, room + 2 * page, protection, MAP_ANONYMOUS | flags, -1, 0);
  if (guard == MAP_FAILED) die(EXIT_TOOL, "no memory for the driver's own tables", strerror(errno));
  mprotect(guard, page, PROT_NONE);
  mprotect(guard + page + room, page, PROT_NONE);
  return guard + page;
}

void *take_pages(size_t bytes) { return take(bytes, MAP_PRIVATE | MAP_POPULATE); }
void *take_shared_pages(size_t bytes) { return take(bytes, MAP_SHARED | MAP_POPULATE); }
void *take_lazy_pages(size_t bytes) { return take(bytes, MAP_SHARED | MAP_NORESERVE); }
void give_pages(void *pages, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  munmap((char *)pages - page, whole_pages(bytes) + 2 * page);
}

static void write_all(int fd, const char *path, const char *data, size_t bytes) {
  while (bytes > 0) {
    ssize_t written = write(fd, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) die_of_file(path, errno);
    data += written;
    bytes -= (size_t)written;
  }
}

void write_parts(const char *path, const struct part *parts, size_t count) {
  if (is_a_copy()) _exit(EXIT_MEASURED);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) die_of_file(path, errno);
  fchmod(fd, 0644); /* whatever umask the allocator has set */
  for (size_t i = 0; i < count; i++) write_all(fd, path, parts[i].data, parts[i].bytes);
  if (close(fd) != 0) die_of_file(path, errno);
}

void write_file(const char *path, const void *data, size_t bytes) {
  struct part whole = {data, bytes};
  write_parts(path, &whole, 1);
}

bool read_text(const char *path, char *text, size_t capacity) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, capacity - 1);
  if (fd >= 0) close(fd);
  text[length > 0 ? length : 0] = '\0';
  return length > 0;
}

void futex_wait(uint32_t *word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void futex_wake_one(uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void futex_wake_all(uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* "<ns on a CPU> <ns ready without one> <time slices>" */
uint64_t run_delay_ns(void) {
  char text[64];
  read_text("/proc/self/schedstat", text, sizeof text);
  const char *second = strchr(text, ' ');
  return second ? text_number(second) : 0;
}

uint64_t process_threads(void) {
  char text[4096];
  read_text("/proc/self/status", text, sizeof text);
  return text_field(text, "\nThreads:");
}

int pin_to_cpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)cpu, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
}
