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

#define TALLY_BITS 11u
#define TALLY_PLACES (1u << TALLY_BITS)
#define TALLY_MOST_KEYS (TALLY_PLACES / 4 * 3)

struct tally {
  struct {
    uint64_t key;
    uint64_t count; /* 0: the place is free */
  } places[TALLY_PLACES];
  size_t keys;
  uint64_t untracked;
};

/* Frequencies are told apart by all their bits. */
static inline uint64_t tally_key_of(double hz) {
  uint64_t key;
  memcpy(&key, &hz, sizeof key);
  return key;
}

static inline double tally_hz_of(uint64_t key) {
  double hz;
  memcpy(&hz, &key, sizeof hz);
  return hz;
}

static inline void tally_add(struct tally *tally, uint64_t key) {
  size_t place = key * 11400714819323198485u >> (64 - TALLY_BITS); /* Fibonacci hashing */
  while (tally->places[place].count != 0 && tally->places[place].key != key)
    place = (place + 1) % TALLY_PLACES;
  if (tally->places[place].count == 0) {
    if (tally->keys == TALLY_MOST_KEYS) {
      tally->untracked++;
      return;
    }
    tally->keys++;
    tally->places[place].key = key;
  }
  tally->places[place].count++;
}

#endif
