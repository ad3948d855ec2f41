/* keeps.c: the same calls each time; it keeps most of what it makes, so that allocators differ in
 * pages. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 4000

static char *blocks[BLOCKS];

int main(void) {
  for (size_t i = 0; i < BLOCKS; i++) {
    size_t size = i % 3000 + 600;
    char *fresh = i % 3 == 0 ? calloc(1, size) : i % 3 == 1 ? malloc(size) : realloc(NULL, size);
    if (i % 100 == 99 && posix_memalign((void **)&blocks[i], 64, size) == 0) free(fresh);
    else blocks[i] = fresh;
    memset(blocks[i], 1, size);
    if (i % 50 == 49) blocks[i] = realloc(blocks[i], 2 * size); /* some of which are aligned */
    if (i % 10 == 0) {
      free(blocks[i]);
      blocks[i] = NULL;
    }
  }
  free(NULL);
  for (size_t i = 0; i < BLOCKS; i += 10) free(blocks[i]);
  free(malloc((size_t)-1 / 2)); /* refused */
  return printf("%d\n", BLOCKS) < 0;
}
