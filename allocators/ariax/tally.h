/* tally.h: counts how often each key was seen, in a table of fixed size.
 *
 * A key's place follows from a hash; a place that is taken sends it to the next
 * one. The table is never filled beyond three quarters: what is new then is only
 * counted together, as `untracked`.
 */
#ifndef ALLOCPHASE_TALLY_H
#define ALLOCPHASE_TALLY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TALLY_PLACES 2048u /* a power of two */
#define TALLY_MOST_KEYS (TALLY_PLACES / 4 * 3)

struct tally {
  struct {
    uint32_t key;
    uint32_t used;
    uint64_t count;
  } places[TALLY_PLACES];
  size_t keys;
  uint64_t untracked;
};

/* A frequency is told from others by its seven significant digits. */
static inline uint32_t tally_key_of(double hz) {
  float rounded = (float)hz;
  uint32_t key;
  memcpy(&key, &rounded, sizeof key);
  return key;
}

static inline double tally_hz_of(uint32_t key) {
  float hz;
  memcpy(&hz, &key, sizeof hz);
  return (double)hz;
}

static inline void tally_add(struct tally *tally, uint32_t key) {
  uint32_t place = key * 2654435769u >> 21; /* 11 bits of Fibonacci hashing */
  while (tally->places[place].used && tally->places[place].key != key)
    place = (place + 1) % TALLY_PLACES;
  if (!tally->places[place].used) {
    if (tally->keys == TALLY_MOST_KEYS) {
      tally->untracked++;
      return;
    }
    tally->keys++;
    tally->places[place].key = key;
    tally->places[place].used = 1;
  }
  tally->places[place].count++;
}

_Static_assert(TALLY_PLACES == 1u << 11, "the hash has 11 bits");

#endif
