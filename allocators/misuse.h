/* misuse.h: the end of a program that gives back what it must not.
 *
 *     phase3: double free of 0x7f31c0420040
 *     phase3: foreign pointer 0x7ffd2a6b1c5c
 *
 * One line on stderr, then abort(), as other allocators do (glibc: "free(): double
 * free detected in tcache 2"). To go on would hand one block to two callers. By
 * write(2): stdio may allocate, and its malloc may be the one that is broken.
 */
#ifndef ALLOCPHASE_MISUSE_H
#define ALLOCPHASE_MISUSE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DOUBLE_FREE "double free of"
#define USE_AFTER_FREE "use of the freed block"
#define FOREIGN_POINTER "foreign pointer"

#define HEX_DIGITS (2 * sizeof(void *))

static inline size_t misuse_add_text(char *line, size_t at, const char *text) {
  memcpy(line + at, text, strlen(text));
  return at + strlen(text);
}

static inline size_t misuse_add_hex(char *line, size_t at, uintptr_t number) {
  unsigned shift = 4 * (HEX_DIGITS - 1);
  while (shift > 0 && number >> shift == 0) shift -= 4;
  for (;; shift -= 4) {
    line[at++] = "0123456789abcdef"[number >> shift & 15];
    if (shift == 0) return at;
  }
}

__attribute__((cold, noinline, noreturn)) static void misuse(const char *allocator,
                                                             const char *what,
                                                             const void *block) {
  char line[96]; /* a name, the longest of the texts above, an address */
  size_t length = misuse_add_text(line, 0, allocator);
  length = misuse_add_text(line, length, ": ");
  length = misuse_add_text(line, length, what);
  length = misuse_add_text(line, length, " 0x");
  length = misuse_add_hex(line, length, (uintptr_t)block);
  line[length++] = '\n';
  ssize_t written = write(STDERR_FILENO, line, length);
  (void)written; /* with stderr closed the signal has to say it all */
  abort();
}

#endif
