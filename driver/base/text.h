/* text.h: builds one line of text in a fixed buffer, where what does not fit is cut; and
 * reads a number out of one. */
#ifndef ALLOCPHASE_TEXT_H
#define ALLOCPHASE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
  char *chars;
  size_t length;
  size_t capacity;
};

static inline struct text text_in(char *buffer, size_t capacity) {
  buffer[0] = '\0';
  return (struct text){buffer, 0, capacity};
}

static inline void text_add(struct text *text, const char *part) {
  while (*part && text->length + 1 < text->capacity) text->chars[text->length++] = *part++;
  text->chars[text->length] = '\0';
}

static inline void text_add_number(struct text *text, uint64_t value) {
  char digits[21];
  size_t at = sizeof digits - 1;
  digits[at] = '\0';
  do digits[--at] = (char)('0' + value % 10);
  while (value /= 10);
  text_add(text, digits + at);
}

/* The decimal number at the beginning, behind blanks; 0 where there is none. */
static inline uint64_t text_number(const char *text) {
  uint64_t value = 0;
  while (*text == ' ' || *text == '\t') text++;
  for (; *text >= '0' && *text <= '9'; text++) value = value * 10 + (uint64_t)(*text - '0');
  return value;
}

/* The number behind `key` in a text of the kernel's, such as "\nThreads:"; 0 without one. */
static inline uint64_t text_field(const char *text, const char *key) {
  const char *at = strstr(text, key);
  return at ? text_number(at + strlen(key)) : 0;
}

#endif
