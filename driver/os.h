/* os.h: every system call that the allocators of this project make.
 *
 * Include it before any system header: it asks for the declarations that plain
 * C11 hides. A failed call returns NULL (or an errno value), never MAP_FAILED, so
 * that callers have one thing to test.
 */
#ifndef ALLOCPHASE_OS_H
#define ALLOCPHASE_OS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#error "include os.h before any system header"
#endif

/* 4 KiB on x86-64; 4, 16 or 64 KiB on aarch64. Not a system call: the kernel
 * hands the number to each process at its start. */
static inline size_t os_page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/* Zeroed memory, page aligned; the system promises to back all of it. */
static inline void *os_map(size_t bytes) {
  void *start =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return start == MAP_FAILED ? NULL : start;
}

/* Zeroed memory, page aligned, far larger than what will be used: a page costs
 * nothing before its first touch, and nothing is promised. */
static inline void *os_reserve(size_t bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  return start == MAP_FAILED ? NULL : start;
}

/* Returns 0, or ENOMEM when the hole would take one mapping more than a process
 * may have (vm.max_map_count): then the memory stays mapped. */
static inline int os_unmap(void *start, size_t bytes) {
  return munmap(start, bytes) == 0 ? 0 : errno;
}

/* Gives the pages back and keeps the addresses; they read as zero again. */
static inline int os_discard(void *start, size_t bytes) {
  return madvise(start, bytes, MADV_DONTNEED) == 0 ? 0 : errno;
}

#endif
