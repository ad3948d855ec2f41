/* touches.c: touches known bytes of blocks of known sizes.
 *
 *     touches          the blocks below, in order; what is never freed comes last
 *     touches killed   ends by a signal instead, with what is never freed
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096

static char *touch(char *block, size_t from, size_t bytes) {
  memset(block + from, 1, bytes);
  return block;
}

/* The compiler may leave out what nobody uses. */
static void drop(void *volatile block) { free(block); }

int main(int argc, char **argv) {
  (void)argv;
  drop(touch(malloc(100), 0, 10));             /* small: 100 */
  drop(touch(malloc(10 * PAGE), 0, 1));        /* 1 page */
  drop(malloc(10 * PAGE));                     /* nothing, where the one before was */
  char *sparse = touch(malloc(64 * PAGE), 0, 1);
  drop(touch(sparse, 63 * PAGE, 2));           /* its first and its last page */
  drop(touch(calloc(1000, PAGE), 5 * PAGE, PAGE + 1)); /* 2 pages; zeroes are there untouched */
  drop(touch(malloc(PAGE + 10), 0, PAGE + 10)); /* all: a page and 10 bytes */
  char *grown = touch(malloc(3 * PAGE), 0, 3 * PAGE);  /* 3 pages */
  grown = realloc(grown, 100 * PAGE);          /* the same 3 and 1 more */
  drop(touch(grown, 50 * PAGE, 1));
  char *from_small = touch(malloc(200), 0, 200); /* small: 200 */
  from_small = realloc(from_small, 8 * PAGE);  /* its first page */
  from_small = realloc(from_small, 2 * PAGE);  /* the same */
  from_small = realloc(from_small, 50);        /* small: 50 */
  drop(from_small);
  char *aligned = NULL;
  if (posix_memalign((void **)&aligned, PAGE, 4 * PAGE) != 0) return 1;
  drop(touch(aligned, 0, 4 * PAGE));           /* 4 pages */
  char *volatile kept = touch(malloc(7 * PAGE), PAGE, 1); /* 1 page, never freed */
  if (argc > 1) raise(SIGKILL);
  return kept[PAGE] == 1 ? 0 : 1;
}
