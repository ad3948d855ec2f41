/* columns.h: the events of a chunk as streams of bytes, as recorder/columns.py reads them.
 *
 * The layout is described there; here it is written, event by event.
 */
#ifndef ALLOCPHASE_RECORDER_COLUMNS_H
#define ALLOCPHASE_RECORDER_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

struct columns {
  struct stream streams[STREAMS];
  uint32_t words[MOST_WORDS]; /* the dictionary */
  uint32_t word_count;
  uint8_t guesses[MOST_WORDS]; /* where a word was found last, by its hash; mostly right */
  uint32_t count, births;
  uint64_t base_time, time; /* before the first event, and of the last */
  uint64_t first_birth;
  uint64_t own_place, place; /* of the last own and the last foreign object */
};

struct row {
  unsigned kind, entry, align_log2;
  enum told told;
  uint64_t time, size, extra;
  uint64_t age;          /* of TOLD_AGE; as TOLD_NEAR it is told where that is shorter */
  uint64_t owner, place; /* of TOLD_FOREIGN; of TOLD_AGE the place alone */
};

/* False: the chunk is full; it has to be begun anew. */
bool columns_add(struct columns *columns, const struct row *row);

/* Begins a chunk behind the last one. */
void columns_begin(struct columns *columns);

/* The lengths of all streams, as they go before them. */
void columns_lengths(const struct columns *columns, uint32_t lengths[STREAMS]);

void columns_drop(struct columns *columns);

#endif
