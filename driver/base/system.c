#include "base/system.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/text.h"

static pid_t owner;

void system_expect_the_worst(void) {
  owner = getpid();
  channel_close();
}

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
  static char line[512];
  if (is_a_copy()) _exit(code);
  channel_say(what, detail);
  struct text text = text_in(line, sizeof line);
  text_add(&text, detail);
  if (*channel_token()) text_add(&text, " ");
  text_add(&text, channel_token());
  say(what, line);
  _exit(owner ? EXIT_HINDERED : code);
}

_Noreturn static void die_of_file(const char *path, int error) {
  die(EXIT_TOOL, path, strerror(error));
}

static size_t whole_pages(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return bytes ? (bytes + page - 1) & ~(page - 1) : page;
}

/* ---- Memory ---------------------------------------------------------------------- */

/* One room for all of the driver's tables, of the same size in every process: probes
 * need different tables, and where the allocator's own mappings come to lie must not
 * depend on them. Addresses cost nothing; what is not taken stays forbidden ground. */
#define ROOM_BYTES ((size_t)64 << 30)

static char *room, *room_end;

static void open_room(void) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  room = mmap(NULL, ROOM_BYTES, PROT_NONE, flags, -1, 0);
  if (room == MAP_FAILED) room = NULL; /* a limit on addresses: then tables lie anywhere */
  room_end = room ? room + ROOM_BYTES : NULL;
}

/* `bytes` of forbidden ground, or NULL. */
static char *ground(size_t bytes) {
  if (!room_end) open_room();
  if (!room || bytes > (size_t)(room_end - room)) {
    char *start =
        mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return start == MAP_FAILED ? NULL : start;
  }
  room += bytes;
  return room - bytes;
}

static void *take(size_t bytes, int flags) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), space = whole_pages(bytes);
  int protection = PROT_READ | PROT_WRITE;
  char *guard = ground(space + 2 * page);
  char *pages = MAP_FAILED;
  if (guard)
    pages = mmap(guard + page, space, protection, MAP_FIXED | MAP_ANONYMOUS | flags, -1, 0);
  if (pages == MAP_FAILED) die(EXIT_TOOL, "no memory for the driver's own tables", strerror(errno));
  return pages;
}

void *take_pages(size_t bytes) { return take(bytes, MAP_PRIVATE | MAP_POPULATE); }
void *take_untouched_pages(size_t bytes) { return take(bytes, MAP_PRIVATE); }
void *take_shared_pages(size_t bytes) { return take(bytes, MAP_SHARED | MAP_POPULATE); }
void *take_lazy_pages(size_t bytes) { return take(bytes, MAP_SHARED | MAP_NORESERVE); }

/* The addresses are not used again. */
void give_pages(void *pages, size_t bytes) {
  int flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  mmap(pages, whole_pages(bytes), PROT_NONE, flags, -1, 0);
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

static struct written files[MOST_FILES];
static size_t file_count;

const struct written *system_files(size_t *count) {
  *count = file_count;
  return files;
}

static void remember(const char *path, size_t bytes) {
  static char paths[MOST_FILES][512];
  if (file_count == MOST_FILES) die(EXIT_TOOL, path, "one file too many");
  struct text text = text_in(paths[file_count], sizeof paths[file_count]);
  text_add(&text, path);
  files[file_count] = (struct written){paths[file_count], bytes};
  file_count++;
}

/* A link, a pipe or a file of that name is somebody else's, and goes. */
static int open_new(const char *path) {
  unlink(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) die_of_file(path, errno);
  fchmod(fd, 0644); /* whatever umask the allocator has set */
  return fd;
}

void write_parts(const char *path, const struct part *parts, size_t count) {
  if (is_a_copy()) _exit(EXIT_MEASURED);
  size_t bytes = 0;
  int fd = open_new(path);
  for (size_t i = 0; i < count; i++) {
    write_all(fd, path, parts[i].data, parts[i].bytes);
    bytes += parts[i].bytes;
  }
  if (close(fd) != 0) die_of_file(path, errno);
  remember(path, bytes);
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

/* "<ns on a CPU> <ns ready without one> <time slices>" */
uint64_t run_delay_ns(void) {
  char text[64];
  read_text("/proc/self/schedstat", text, sizeof text);
  const char *second = strchr(text, ' ');
  return second ? text_number(second) : 0;
}

/* A thread that runs has had a time slice. */
bool run_delay_is_kept(void) {
  char text[64];
  read_text("/proc/self/schedstat", text, sizeof text);
  const char *second = strchr(text, ' ');
  const char *third = second ? strchr(second + 1, ' ') : NULL;
  return third && text_number(third) > 0;
}

uint64_t thread_faults(void) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return (uint64_t)(usage.ru_minflt + usage.ru_majflt);
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
