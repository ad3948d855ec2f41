/* copies.c: strdup and strndup as libc has them, whose block comes from malloc.
 *
 * An allocator may bring its own, which call nobody (mimalloc's two): to who is in front of it and
 * looks at calls of malloc, such a block would be freed without ever having been allocated.
 */
#include <stdlib.h>
#include <string.h>

#include "preload/exported.h"

static char *copy_of(const char *text, size_t length) {
  char *copy = malloc(length + 1);
  if (copy == NULL) return NULL;
  copy[length] = '\0';
  return memcpy(copy, text, length);
}

EXPORTED char *strdup(const char *text) { return copy_of(text, strlen(text)); }

EXPORTED char *strndup(const char *text, size_t most) { return copy_of(text, strnlen(text, most)); }
