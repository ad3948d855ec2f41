/* counter: preloaded behind the recorder, counts what comes through, in a file that all
 * recorded processes share: COUNTS. It calls glibc's malloc itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef BUMP /* so that a signal handler may call it wherever it interrupts: nothing is given out twice */
#include <stdint.h>
#include <string.h>
static char arena[(size_t)1 << 32];
static size_t used;
static void *__libc_malloc(size_t size) {
  size_t *block = (void *)(arena + __atomic_fetch_add(&used, (size + 31) & ~(size_t)15, __ATOMIC_RELAXED));
  *block = size;
  return block + 2;
}
static void *__libc_calloc(size_t n, size_t size) { return __libc_malloc(n * size); }
static void *__libc_realloc(void *block, size_t size) {
  void *moved = __libc_malloc(size);
  if (block) memcpy(moved, block, size < ((size_t *)block)[-2] ? size : ((size_t *)block)[-2]);
  return moved;
}
static void *__libc_memalign(size_t alignment, size_t size) {
  return (void *)(((uintptr_t)__libc_malloc(size + alignment) + alignment - 1) & -alignment);
}
static void __libc_free(void *block) { (void)block; }
#else
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);
void __libc_free(void *);
#endif

enum { MALLOC, CALLOC, REALLOC, ALIGNED, FREE, FREE_NULL, FAILED, KINDS };

static long *counts;

static void *count(int kind, void *block) {
  const char *path = counts || !environ ? NULL : getenv("COUNTS");
  if (!counts && environ && !getenv("ALLOCPHASE_RECORDER")) return block; /* who starts it */
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd >= 0) {
    counts = mmap(NULL, KINDS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
  }
  if (!counts) abort();
  __atomic_fetch_add(&counts[kind], 1, __ATOMIC_RELAXED);
  if (!block && kind < FREE) __atomic_fetch_add(&counts[FAILED], 1, __ATOMIC_RELAXED);
  return block;
}

void *malloc(size_t size) { return count(MALLOC, __libc_malloc(size)); }
void *calloc(size_t n, size_t size) { return count(CALLOC, __libc_calloc(n, size)); }
void *realloc(void *block, size_t size) { return count(REALLOC, __libc_realloc(block, size)); }
void *memalign(size_t a, size_t size) { return count(ALIGNED, __libc_memalign(a, size)); }
void *aligned_alloc(size_t a, size_t size) { return memalign(a, size); }
int posix_memalign(void **block, size_t a, size_t size) {
  return (*block = memalign(a, size)) ? 0 : ENOMEM;
}
void free(void *block) {
  int error = errno;
  count(block ? FREE : FREE_NULL, block);
  __libc_free(block);
  errno = error;
}
