/* texts N: N copies of texts of 1000 characters and more, and N of no more than half of them, each
 * freed at once. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

int main(int words, char **word) {
  size_t count = words > 1 ? strtoull(word[1], NULL, 10) : 0;
  static char text[2000];
  memset(text, 'x', sizeof text - 1);
  for (size_t i = 0; i < count; i++) {
    const char *from = text + sizeof text - 1 - (1000 + i);
    char *whole = strdup(from), *half = strndup(from, 500 + i);
    if (strlen(whole) != 1000 + i || strlen(half) != 500 + i) return 1;
    free(whole);
    free(half);
  }
  return 0;
}
