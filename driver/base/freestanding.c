#include "base/freestanding.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Hidden: the linker binds the driver's own references here, and no other object sees it. */
#define OWN __attribute__((visibility("hidden")))

/* ---- System calls ------------------------------------------------------------------- */

/* Returns what the kernel does: from -4095 to -1 an error. */
#if defined(__x86_64__)
static inline long kernel(long number, long a, long b, long c, long d, long e, long f) {
  register long fourth __asm__("r10") = d;
  register long fifth __asm__("r8") = e;
  register long sixth __asm__("r9") = f;
  long result = number;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                   : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
static inline long kernel(long number, long a, long b, long c, long d, long e, long f) {
  register long nr __asm__("x8") = number;
  register long first __asm__("x0") = a;
  register long second __asm__("x1") = b;
  register long third __asm__("x2") = c;
  register long fourth __asm__("x3") = d;
  register long fifth __asm__("x4") = e;
  register long sixth __asm__("x5") = f;
  __asm__ volatile("svc 0"
                   : "+r"(first)
                   : "r"(nr), "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth)
                   : "memory");
  return first;
}
#endif

#define MOST_ERRORS 4095

static inline long result_of(long result) {
  if (result >= 0 || result < -MOST_ERRORS) return result;
  errno = (int)-result;
  return -1;
}

#define CALL6(name, a, b, c, d, e, f) \
  result_of(kernel(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)))
#define CALL4(name, a, b, c, d) CALL6(name, a, b, c, d, 0, 0)
#define CALL3(name, a, b, c) CALL4(name, a, b, c, 0)
#define CALL2(name, a, b) CALL3(name, a, b, 0)
#define CALL1(name, a) CALL2(name, a, 0)

/* Those that take as many arguments as they are given, under their names for the linker:
 * what was not given is whatever its register holds, and the kernel does not look at it. */
OWN long own_syscall(long number, long a, long b, long c, long d, long e, long f)
    __asm__("syscall");
OWN int own_fcntl(int fd, int command, long argument) __asm__("fcntl");
OWN int own_prctl(int option, long a, long b, long c, long d) __asm__("prctl");
OWN long own_ptrace(int request, long a, long b, long c) __asm__("ptrace");

OWN long own_syscall(long number, long a, long b, long c, long d, long e, long f) {
  return result_of(kernel(number, a, b, c, d, e, f));
}
OWN int own_fcntl(int fd, int command, long argument) {
  return (int)CALL3(fcntl, fd, command, argument);
}
OWN int own_prctl(int option, long a, long b, long c, long d) {
  return (int)CALL6(prctl, option, a, b, c, d, 0);
}
OWN long own_ptrace(int request, long a, long b, long c) { /* but for what reads words */
  return CALL4(ptrace, request, a, b, c);
}

/* Files. */
OWN int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
  va_end(rest);
  return (int)CALL4(openat, AT_FDCWD, path, flags, mode);
}
OWN int close(int fd) { return (int)CALL1(close, fd); }
OWN ssize_t read(int fd, void *data, size_t bytes) { return CALL3(read, fd, data, bytes); }
OWN ssize_t write(int fd, const void *data, size_t bytes) { return CALL3(write, fd, data, bytes); }
OWN ssize_t writev(int fd, const struct iovec *parts, int count) {
  return CALL3(writev, fd, parts, count);
}
OWN int fstat(int fd, struct stat *status) { return (int)CALL2(fstat, fd, status); }
OWN int stat(const char *path, struct stat *status) {
  return (int)CALL4(newfstatat, AT_FDCWD, path, status, 0);
}
OWN int fchmod(int fd, mode_t mode) { return (int)CALL2(fchmod, fd, mode); }
OWN int unlink(const char *path) { return (int)CALL3(unlinkat, AT_FDCWD, path, 0); }

/* Memory. */
OWN void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  return (void *)CALL6(mmap, at, bytes, protection, flags, fd, offset);
}
OWN int mprotect(void *at, size_t bytes, int protection) {
  return (int)CALL3(mprotect, at, bytes, protection);
}

/* The process. */
OWN pid_t getpid(void) { return (pid_t)CALL1(getpid, 0); }
OWN pid_t getppid(void) { return (pid_t)CALL1(getppid, 0); }
OWN void _exit(int code) {
  for (;;) kernel(SYS_exit_group, code, 0, 0, 0, 0, 0);
}
OWN int kill(pid_t pid, int signal) { return (int)CALL2(kill, pid, signal); }
OWN pid_t waitpid(pid_t pid, int *status, int options) {
  return (pid_t)CALL4(wait4, pid, status, options, NULL);
}
OWN mode_t umask(mode_t mask) { return (mode_t)CALL1(umask, mask); }
OWN int personality(unsigned long persona) { return (int)CALL1(personality, persona); }
OWN int getresuid(uid_t *real, uid_t *effective, uid_t *saved) {
  return (int)CALL3(getresuid, real, effective, saved);
}
OWN int getresgid(gid_t *real, gid_t *effective, gid_t *saved) {
  return (int)CALL3(getresgid, real, effective, saved);
}
OWN int getrusage(__rusage_who_t who, struct rusage *usage) {
  return (int)CALL2(getrusage, who, usage);
}
OWN int getrlimit(__rlimit_resource_t resource, struct rlimit *limit) {
  return (int)CALL4(prlimit64, 0, resource, NULL, limit);
}

/* Scheduling. */
OWN int sched_setaffinity(pid_t pid, size_t bytes, const cpu_set_t *cpus) {
  return (int)CALL3(sched_setaffinity, pid, bytes, cpus);
}
OWN int sched_getscheduler(pid_t pid) { return (int)CALL1(sched_getscheduler, pid); }
OWN int sched_getparam(pid_t pid, struct sched_param *parameter) {
  return (int)CALL2(sched_getparam, pid, parameter);
}
OWN int getpriority(__priority_which_t which, id_t who) {
  long raised = CALL2(getpriority, which, who); /* the kernel's is 1 to 40 */
  return raised < 0 ? -1 : (int)(20 - raised);
}
OWN int usleep(useconds_t us) {
  struct timespec wait = {(time_t)(us / 1000000u), (long)(us % 1000000u) * 1000};
  return (int)CALL2(nanosleep, &wait, NULL);
}

/* ---- What the kernel hands to each process --------------------------------------------- */

#define MOST_AUXILIARY 64

static unsigned long auxiliary(unsigned long type) {
  unsigned long words[2 * MOST_AUXILIARY] = {0};
  int fd = open("/proc/self/auxv", O_RDONLY | O_CLOEXEC);
  ssize_t bytes = read(fd, words, sizeof words);
  close(fd);
  for (ssize_t i = 0; 2 * i + 1 < bytes / (ssize_t)sizeof *words; i++)
    if (words[2 * i] == type) return words[2 * i + 1];
  return 0;
}

/* Of one thing alone: the length of a page. */
OWN long sysconf(int name) {
  static long page_bytes;
  if (name != _SC_PAGESIZE) return -1;
  if (page_bytes == 0) page_bytes = (long)auxiliary(AT_PAGESZ);
  if (page_bytes == 0) page_bytes = 4096; /* no /proc */
  return page_bytes;
}

/* ---- The clock -------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define VDSO_CLOCK_GETTIME "__vdso_clock_gettime"
#else
#define VDSO_CLOCK_GETTIME "__kernel_clock_gettime"
#endif

typedef int clock_reader(clockid_t clock, struct timespec *now);

static int ask_the_kernel(clockid_t clock, struct timespec *now) {
  return (int)CALL2(clock_gettime, clock, now);
}

static int find_the_clock(clockid_t clock, struct timespec *now);
static clock_reader *read_clock = find_the_clock;

/* The kernel's own function, in the object that it maps into each process (vDSO): no
 * system call, and none of libc's. */
static int find_the_clock(clockid_t clock, struct timespec *now) {
  struct elf_object vdso;
  const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)auxiliary(AT_SYSINFO_EHDR);
  read_clock = ask_the_kernel;
  if (!header) return read_clock(clock, now);
  elf_object_read(&vdso, (uintptr_t)header, header);
  const ElfW(Sym) *symbol = elf_symbol(&vdso, VDSO_CLOCK_GETTIME);
  if (symbol) {
    uintptr_t address = vdso.base + symbol->st_value;
    memcpy(&read_clock, &address, sizeof read_clock);
  }
  return read_clock(clock, now);
}

OWN int clock_gettime(clockid_t clock, struct timespec *now) {
  return (int)result_of(read_clock(clock, now));
}

/* ---- Bytes ------------------------------------------------------------------------------- */

/* An empty asm in each loop: else a compiler makes a call of what the loop is to be. */
#define AS_WRITTEN() __asm__ volatile("")

static void *plain_copy(void *to, const void *from, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    ((char *)to)[i] = ((const char *)from)[i];
    AS_WRITTEN();
  }
  return to;
}

static void *plain_move(void *to, const void *from, size_t bytes) {
  if ((uintptr_t)to <= (uintptr_t)from) return plain_copy(to, from, bytes);
  for (size_t i = bytes; i > 0; i--) {
    ((char *)to)[i - 1] = ((const char *)from)[i - 1];
    AS_WRITTEN();
  }
  return to;
}

static void *plain_set(void *to, int value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    ((char *)to)[i] = (char)value;
    AS_WRITTEN();
  }
  return to;
}

static struct {
  void *(*copy)(void *, const void *, size_t);
  void *(*move)(void *, const void *, size_t);
  void *(*set)(void *, int, size_t);
} bytes_of = {plain_copy, plain_move, plain_set};

OWN void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
  return bytes_of.copy(to, from, bytes);
}
OWN void *memmove(void *to, const void *from, size_t bytes) {
  return bytes_of.move(to, from, bytes);
}
OWN void *memset(void *to, int value, size_t bytes) { return bytes_of.set(to, value, bytes); }

static void *libc_function(const struct elf_object *libc, const char *name, void *otherwise) {
  const ElfW(Sym) *symbol = elf_symbol(libc, name);
  return symbol ? elf_function(libc, symbol) : otherwise;
}

void freestanding_bind(const struct elf_object *libc) {
  *(void **)&bytes_of.copy = libc_function(libc, "memcpy", *(void **)&bytes_of.copy);
  *(void **)&bytes_of.move = libc_function(libc, "memmove", *(void **)&bytes_of.move);
  *(void **)&bytes_of.set = libc_function(libc, "memset", *(void **)&bytes_of.set);
}

/* Eight at a time up to the first difference: blocks of many MiB are compared. */
OWN int memcmp(const void *left, const void *right, size_t bytes) {
  const unsigned char *a = left, *b = right;
  for (; bytes >= 8; a += 8, b += 8, bytes -= 8) {
    uint64_t one, other;
    __builtin_memcpy(&one, a, sizeof one);
    __builtin_memcpy(&other, b, sizeof other);
    if (one != other) break;
    AS_WRITTEN();
  }
  for (; bytes > 0; a++, b++, bytes--) {
    if (*a != *b) return *a < *b ? -1 : 1;
    AS_WRITTEN();
  }
  return 0;
}

/* ---- Texts ------------------------------------------------------------------------------- */

OWN size_t strlen(const char *text) {
  const char *end = text;
  for (; *end; end++) AS_WRITTEN();
  return (size_t)(end - text);
}

OWN int strcmp(const char *left, const char *right) {
  for (; *left && *left == *right; left++, right++) AS_WRITTEN();
  return (unsigned char)*left - (unsigned char)*right;
}

OWN int strncmp(const char *left, const char *right, size_t most) {
  for (; most > 0 && *left && *left == *right; left++, right++, most--) AS_WRITTEN();
  return most > 0 ? (unsigned char)*left - (unsigned char)*right : 0;
}

OWN char *strchr(const char *text, int wanted) {
  for (; *text != (char)wanted; text++)
    if (!*text) return NULL;
  return (char *)text;
}

OWN char *strrchr(const char *text, int wanted) {
  const char *found = NULL;
  for (;; text++) {
    if (*text == (char)wanted) found = text;
    if (!*text) return (char *)found;
  }
}

OWN char *strstr(const char *text, const char *wanted) {
  size_t length = strlen(wanted);
  for (;; text++) {
    if (strncmp(text, wanted, length) == 0) return (char *)text;
    if (!*text) return NULL;
  }
}

OWN char *strncpy(char *restrict to, const char *restrict from, size_t most) {
  size_t i = 0;
  for (; i < most && from[i]; i++) to[i] = from[i];
  for (; i < most; i++) {
    to[i] = '\0';
    AS_WRITTEN();
  }
  return to;
}
