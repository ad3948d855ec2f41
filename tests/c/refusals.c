/* refusals: what an allocator says to requests that cannot be served.
 *
 * Linked with one allocator's source, as the exerciser is:
 *
 *     refusals [key=value ...]
 *
 * Prints one line for each expectation that is not met; exit code 1 if there is one.
 * At the end the process may map nothing more, and the allocator is used up.
 */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "allocphase.h"
#include "initialise.h"

#define NEVER_HAD ((size_t)1 << 61) /* valid, and more than any system has */
#define UNTOUCHED 77                /* no errno value that is used here */

static const struct allocphase_allocator *allocator;
static int faults;

static void expect(int holds, const char *what, size_t size) {
  if (holds) return;
  printf("%s %zu: errno %s\n", what, size, strerror(errno));
  faults++;
}

/* By REFUSED, so that errno is clear before the call. */
static void expect_refusal(int error, const char *what, size_t size, const void *block) {
  expect(block == NULL && errno == error, what, size);
}

#define REFUSED(error, what, size, call) expect_refusal(error, what, size, (errno = 0, call))

static void alignments(void) {
  static const size_t wrong[] = {0, 3, 5, 6, 7, 12, 15, 17, 24, 48, 4095, SIZE_MAX};
  static const size_t right[] = {1, 2, 4, 8, 16, 32, 4096};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    REFUSED(EINVAL, "alignment", wrong[i], allocator->aligned_alloc(wrong[i], 64));
  for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
    void *block = allocator->aligned_alloc(right[i], 64);
    expect(block != NULL && (uintptr_t)block % right[i] == 0, "alignment", right[i]);
    allocator->free(block);
  }
}

static void hopeless_sizes(void) {
  static const size_t sizes[] = {NEVER_HAD, PTRDIFF_MAX, SIZE_MAX - 15, SIZE_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    REFUSED(ENOMEM, "malloc", sizes[i], allocator->malloc(sizes[i]));
    REFUSED(ENOMEM, "aligned_alloc of", sizes[i], allocator->aligned_alloc(64, sizes[i]));
    REFUSED(ENOMEM, "calloc", sizes[i], allocator->calloc(1, sizes[i]));
  }
  REFUSED(ENOMEM, "calloc beyond SIZE_MAX", 3, allocator->calloc(SIZE_MAX / 2, 3));
  REFUSED(ENOMEM, "aligned_alloc at", NEVER_HAD, allocator->aligned_alloc(NEVER_HAD, 64));
}

/* A realloc that fails leaves the block as it was. */
static void hopeless_realloc(size_t size) {
  char *block = allocator->malloc(size);
  if (block == NULL) return expect(0, "malloc", size);
  memset(block, 'a', size);
  REFUSED(ENOMEM, "realloc of", size, allocator->realloc(block, NEVER_HAD));
  REFUSED(ENOMEM, "realloc of", size, allocator->realloc(block, SIZE_MAX));
  expect(block[0] == 'a' && memcmp(block, block + 1, size - 1) == 0, "content of", size);
  allocator->free(block);
}

static void free_keeps_errno(size_t size) {
  void *block = allocator->malloc(size);
  expect(block != NULL, "malloc", size);
  errno = UNTOUCHED;
  allocator->free(block);
  expect(errno == UNTOUCHED, "free of", size);
}

/* Blocks of one size until there are no more; each holds the address of the last. */
static void use_up(size_t size) {
  void **last = NULL, **block;
  errno = 0;
  while ((block = allocator->malloc(size)) != NULL) {
    *block = last;
    last = block;
    errno = 0;
  }
  expect(errno == ENOMEM, "the last malloc of", size);
  for (; last != NULL; last = block) {
    block = *last;
    allocator->free(last);
  }
}

int main(int argc, char **argv) {
  static const size_t sizes[] = {8, 40, 5000, 200000, 3000000};
  allocator = allocphase_plugin();
  if (initialise(allocator, argc - 1, argv + 1) != 0) return 3;
  alignments();
  hopeless_sizes();
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    hopeless_realloc(sizes[i]);
    free_keeps_errno(sizes[i]);
  }
  setvbuf(stdout, NULL, _IONBF, 0); /* it must print when nothing can be mapped any more */
  setrlimit(RLIMIT_AS, &(struct rlimit){.rlim_cur = 0, .rlim_max = 0});
  for (size_t i = 2; i < sizeof sizes / sizeof *sizes; i++) use_up(sizes[i]); /* few blocks */
  return faults != 0;
}
