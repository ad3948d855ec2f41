#include "recorder/drainer/columns.h"

#include <stdlib.h>
#include <string.h>

#include "recorder/drainer/memory.h"

#define DIRECT 253u /* the first byte that is not itself the number */

/* ---- Streams -------------------------------------------------------------------------------- */

static void grow(struct stream *stream, size_t needed) {
  size_t capacity = stream->capacity == 0 ? 64 : stream->capacity;
  while (capacity < needed) capacity *= 2;
  stream->bytes = memory_resize(stream->bytes, capacity);
  stream->capacity = capacity;
}

/* Its end, with room for so many bytes more. */
static uint8_t *end_of(struct stream *stream, size_t room) {
  if (stream->length + room > stream->capacity) grow(stream, stream->length + room);
  return stream->bytes + stream->length;
}

static void end_at(struct stream *stream, const uint8_t *end) {
  stream->length = (size_t)(end - stream->bytes);
}

static void add_bytes(struct stream *stream, const void *bytes, size_t count) {
  memcpy(end_of(stream, count), bytes, count);
  stream->length += count;
}

/* Little-endian, as the machines are that this is built for. Each number is written to the two and
 * four bytes wide, too, and stays there if it is as wide: nobody could foresee a branch. */
static void pack(struct stream streams[4], const uint64_t *numbers, size_t count) {
  uint8_t *narrow = end_of(&streams[0], count), *two = end_of(&streams[1], count * 2);
  uint8_t *four = end_of(&streams[2], count * 4), *eight = end_of(&streams[3], count * 8);
  for (size_t i = 0; i < count; i++) {
    uint64_t value = numbers[i];
    unsigned width = (value >= DIRECT) + (value >> 16 != 0) + (value >> 32 != 0);
    narrow[i] = (uint8_t)(width == 0 ? value : DIRECT - 1 + width);
    memcpy(two, &value, 2);
    two += (width == 1) * 2;
    memcpy(four, &value, 4);
    four += (width == 2) * 4;
    if (__builtin_expect(width < 3, 1)) continue;
    memcpy(eight, &value, 8);
    eight += 8;
  }
  streams[0].length += count;
  end_at(&streams[1], two);
  end_at(&streams[2], four);
  end_at(&streams[3], eight);
}

void columns_pack(struct columns *columns) {
  add_bytes(&columns->streams[1], columns->staged_ops, columns->staged_events);
  columns->staged_events = 0;
  for (size_t number = 0; number < NUMBERS; number++) {
    size_t count = columns->staged_counts[number];
    if (count == 0) continue;
    pack(&columns->streams[2 + 4 * number], columns->staged[number], count);
    columns->staged_counts[number] = 0;
  }
}

/* ---- Events --------------------------------------------------------------------------------- */

uint32_t columns_look_further(struct columns *columns, uint32_t word, uint8_t *guess) {
  uint32_t place = 0;
  while (place < columns->word_count && columns->words[place] != word) place++;
  if (place == MOST_WORDS) return MOST_WORDS;
  if (place == columns->word_count) {
    uint64_t name = word & EVENT_WHAT;
    uint32_t told = event_kind(name) | event_entry(name) << 8 | event_align_log2(name) << 16 |
                    word >> EVENT_WHAT_BITS << 24;
    add_bytes(&columns->streams[0], &told, sizeof told);
    columns->words[columns->word_count++] = word;
  }
  *guess = (uint8_t)place;
  return place;
}

/* ---- Chunks --------------------------------------------------------------------------------- */

void columns_begin(struct columns *columns) {
  for (size_t i = 0; i < STREAMS; i++) columns->streams[i].length = 0;
  columns->first_birth += columns->births;
  columns->base_time = columns->time;
  columns->word_count = columns->count = columns->births = 0;
  columns->own_place = columns->place = 0;
}

void columns_finish(struct columns *columns, uint32_t lengths[STREAMS]) {
  columns_pack(columns);
  for (size_t i = 0; i < STREAMS; i++) lengths[i] = (uint32_t)columns->streams[i].length;
}

void columns_drop(struct columns *columns) {
  for (size_t i = 0; i < STREAMS; i++) {
    free(columns->streams[i].bytes);
    columns->streams[i] = (struct stream){0};
  }
}
