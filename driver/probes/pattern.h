/* pattern.h: bytes that tell whose they are, so that damage to an object shows. */
#ifndef ALLOCPHASE_PATTERN_H
#define ALLOCPHASE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t pattern_word(uint32_t owner, uint64_t index) {
  return (index + 1) * 0x9e3779b97f4a7c15u ^ ((uint64_t)owner + 1) * 0xd1342543de82ef95u;
}

/* Of an object that has its pattern up to `from`. */
static inline void pattern_extend(unsigned char *bytes, size_t from, size_t size,
                                  uint32_t owner) {
  size_t at = from / 8 * 8;
  for (; at + 8 <= size; at += 8) {
    uint64_t word = pattern_word(owner, at / 8);
    memcpy(bytes + at, &word, 8);
  }
  uint64_t word = pattern_word(owner, at / 8);
  memcpy(bytes + at, &word, size - at);
}

static inline void pattern_fill(unsigned char *bytes, size_t size, uint32_t owner) {
  pattern_extend(bytes, 0, size, owner);
}

static inline bool pattern_holds(const unsigned char *bytes, size_t size, uint32_t owner) {
  size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    uint64_t word = pattern_word(owner, at / 8);
    if (memcmp(bytes + at, &word, 8) != 0) return false;
  }
  uint64_t word = pattern_word(owner, at / 8);
  return memcmp(bytes + at, &word, size - at) == 0;
}

/* The first byte that is not as it was filled; `size` where all are. */
static inline size_t pattern_broken_at(const unsigned char *bytes, size_t size, uint32_t owner) {
  for (size_t at = 0; at < size; at++) {
    uint64_t word = pattern_word(owner, at / 8);
    if (memcmp(bytes + at, (const char *)&word + at % 8, 1) != 0) return at;
  }
  return size;
}

/* Each byte equals the one before it, and the first is zero. */
static inline bool is_zero(const unsigned char *bytes, size_t size) {
  return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

#endif
