/* interposer: a library for LD_PRELOAD, with a correct malloc and functions of libc's that
 * are none of its business. As it stands it has the first kind:
 *
 *   (nothing)   a clock that runs a third as fast; memory functions that find everything
 *               equal, copy and set nothing; and files that are never written
 *   TAKES_LOCKS mutexes that the driver needs of libc, and that let everybody in
 *   SPEAKS      none, but before main it complains as the driver would, and ends
 *   FORKS       none, but before main it forks, and both go on
 *   FORGES      none, but before main it leaves a result, and ends
 *
 * It never gives memory back, and clears all of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REGION_BYTES ((size_t)4 << 30)
#define PREFIX_BYTES 16u

static char *region;
static _Atomic size_t used;

static void *reserve(void) {
  return (void *)syscall(SYS_mmap, NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

void *aligned_alloc(size_t alignment, size_t size) {
  if (!region) region = reserve();
  if (alignment < PREFIX_BYTES) alignment = PREFIX_BYTES;
  if (size > REGION_BYTES / 4 || alignment > REGION_BYTES / 4) return NULL;
  size_t bytes = PREFIX_BYTES + alignment + ((size + 15) & ~(size_t)15);
  size_t start = (used += bytes) - bytes;
  if (start + bytes > REGION_BYTES) return NULL;
  uintptr_t block = ((uintptr_t)region + start + PREFIX_BYTES + alignment - 1) & ~(alignment - 1);
  ((size_t *)block)[-1] = size;
  return (void *)block;
}

void *malloc(size_t size) { return aligned_alloc(PREFIX_BYTES, size); }
void free(void *block) { (void)block; }
size_t malloc_usable_size(void *block) { return block ? ((size_t *)block)[-1] : 0; }

void *calloc(size_t count, size_t size) {
  size_t bytes;
  return __builtin_mul_overflow(count, size, &bytes) ? NULL : malloc(bytes);
}

void *realloc(void *old, size_t size) {
  size_t kept = malloc_usable_size(old);
  if (old && size <= kept) return old;
  char *block = malloc(size);
  if (!block) return NULL;
  for (size_t i = 0; i < kept; i++) {
    block[i] = ((char *)old)[i];
    __asm__ volatile(""); /* no memcpy */
  }
  return block;
}

#if defined(TAKES_LOCKS)

int pthread_mutex_lock(void *mutex) {
  (void)mutex;
  return 0;
}
int pthread_mutex_unlock(void *mutex) {
  (void)mutex;
  return 0;
}

#elif defined(SPEAKS)

__attribute__((constructor)) static void loaded(void) {
  static const char words[] = "allocphase-driver: x.trace: not a trace file\n";
  for (int fd = 2; fd < 32; fd++) syscall(SYS_write, fd, words, sizeof words - 1);
  _exit(2);
}

#elif defined(FORKS)

__attribute__((constructor)) static void loaded(void) { fork(); }

#elif defined(FORGES)

__attribute__((constructor)) static void loaded(void) {
  static char words[65536];
  static const char result[] = "{\"status\":\"ok\",\"message\":\"\",\"token\":\"\"}\n";
  char path[4096] = "result.json";
  int fd = open("/proc/self/cmdline", O_RDONLY);
  ssize_t length = read(fd, words, sizeof words - 1);
  for (char *word = words; word < words + length; word += strlen(word) + 1)
    if (strcmp(word, "--out") == 0) snprintf(path, sizeof path, "%s/result.json", word + 6);
  fd = open(path, O_WRONLY | O_CREAT, 0644);
  length = write(fd, result, sizeof result - 1);
  _exit(0);
}

#else

int clock_gettime(clockid_t clock, struct timespec *now) {
  syscall(SYS_clock_gettime, clock, now);
  uint64_t ns = ((uint64_t)now->tv_sec * 1000000000u + (uint64_t)now->tv_nsec) / 3;
  *now = (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
  return 0;
}

int memcmp(const void *left, const void *right, size_t bytes) {
  (void)left, (void)right, (void)bytes;
  return 0;
}
void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
  (void)from, (void)bytes;
  return to;
}
void *memset(void *to, int value, size_t bytes) {
  (void)value, (void)bytes;
  return to;
}

ssize_t write(int fd, const void *data, size_t bytes) {
  (void)fd, (void)data;
  return (ssize_t)bytes;
}

#endif
