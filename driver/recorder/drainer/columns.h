/* columns.h: the events of a chunk as streams of bytes, as recorder/columns.py reads them.
 *
 * The layout is described there; here it is written, event by event.
 */
#ifndef ALLOCPHASE_RECORDER_COLUMNS_H
#define ALLOCPHASE_RECORDER_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/event.h"

enum told {
  TOLD_NONE = 0,
  TOLD_BIRTH = 1,
  TOLD_AGE = 2,
  TOLD_FOREIGN = 3,
  TOLD_UNKNOWN = 4,
  TOLD_NEAR = 5
};

enum number {
  NUMBER_TIME,
  NUMBER_SIZE,
  NUMBER_AGE,
  NUMBER_STEP,
  NUMBER_OWNER,
  NUMBER_PLACE,
  NUMBER_EXTRA
};
#define NUMBERS 7
#define STREAMS (2 + NUMBERS * 4)
#define MOST_WORDS 256
#define CHUNK_EVENTS 65536u

struct stream {
  uint8_t *bytes;
  size_t length, capacity;
};

#define STAGED 64

/* An event's numbers are staged, and packed into their streams with those of some events more. */
struct columns {
  struct stream streams[STREAMS];
  uint64_t staged[NUMBERS][STAGED];
  uint8_t staged_counts[NUMBERS];
  uint8_t staged_ops[STAGED];
  uint8_t staged_events;
  uint32_t words[MOST_WORDS]; /* the dictionary: what, and flags above it */
  uint32_t word_count;
  uint8_t guesses[MOST_WORDS]; /* where a word was found last, by its hash; mostly right */
  uint32_t count, births;
  uint64_t base_time, time; /* before the first event, and of the last */
  uint64_t first_birth;
  uint64_t own_place, place; /* of the last own and the last foreign object */
};

struct row {
  uint32_t what; /* as event.h has it: kind, entry, alignment */
  enum told told;
  uint64_t time, size, extra;
  uint64_t age;          /* of TOLD_AGE; as TOLD_NEAR it is told where that is shorter */
  uint64_t owner, place; /* of TOLD_FOREIGN; of TOLD_AGE the place alone */
};

#define COLUMNS_HAS_SIZE 8u
#define COLUMNS_HAS_EXTRA 16u

/* Of columns_add: a word that was not where it was guessed, MOST_WORDS where there is no room for
 * another one; and what is staged goes to the streams. */
uint32_t columns_look_further(struct columns *columns, uint32_t word, uint8_t *guess);
void columns_pack(struct columns *columns);

static inline uint32_t columns_word(struct columns *columns, uint32_t word) {
  uint8_t *guess = &columns->guesses[word * 0x9e3779b1u >> 24];
  if (__builtin_expect(*guess < columns->word_count && columns->words[*guess] == word, 1))
    return *guess;
  return columns_look_further(columns, word, guess);
}

static inline void columns_stage(struct columns *columns, enum number number, uint64_t value) {
  columns->staged[number][columns->staged_counts[number]++] = value;
}

static inline uint64_t columns_folded(uint64_t from, uint64_t to) {
  int64_t step = (int64_t)(to - from);
  return (uint64_t)step << 1 ^ (uint64_t)(step >> 63);
}

/* False: the chunk is full; it has to be begun anew. */
INLINED bool columns_add(struct columns *columns, const struct row *row) {
  if (columns->count == CHUNK_EVENTS) return false;
  enum told told = row->told;
  uint64_t step = columns_folded(columns->own_place, row->place);
  if (told == TOLD_AGE && step < row->age) told = TOLD_NEAR;
  unsigned flags = told | (row->size != 0 ? COLUMNS_HAS_SIZE : 0) |
                   (row->extra != 0 ? COLUMNS_HAS_EXTRA : 0);
  uint32_t op = columns_word(columns, row->what | flags << EVENT_WHAT_BITS);
  if (__builtin_expect(op == MOST_WORDS, 0)) return false;
  columns->staged_ops[columns->staged_events] = (uint8_t)op;
  uint64_t time = row->time > columns->time ? row->time : columns->time;
  columns_stage(columns, NUMBER_TIME, time - columns->time);
  columns->time = time;
  if (row->size != 0) columns_stage(columns, NUMBER_SIZE, row->size);
  if (row->extra != 0) columns_stage(columns, NUMBER_EXTRA, row->extra);
  if (told == TOLD_AGE) columns_stage(columns, NUMBER_AGE, row->age);
  if (told == TOLD_NEAR) columns_stage(columns, NUMBER_STEP, step);
  if (told == TOLD_AGE || told == TOLD_NEAR) columns->own_place = row->place;
  if (told == TOLD_FOREIGN) {
    columns_stage(columns, NUMBER_OWNER, row->owner);
    columns_stage(columns, NUMBER_PLACE, columns_folded(columns->place, row->place));
    columns->place = row->place;
  }
  columns->count++;
  columns->births += told == TOLD_BIRTH;
  if (++columns->staged_events == STAGED) columns_pack(columns);
  return true;
}

/* Begins a chunk behind the last one. */
void columns_begin(struct columns *columns);

/* Nothing is staged any more; the lengths of all streams, as they go before them. */
void columns_finish(struct columns *columns, uint32_t lengths[STREAMS]);

void columns_drop(struct columns *columns);

#endif
