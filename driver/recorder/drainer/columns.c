#include "recorder/drainer/columns.h"

#include <stdlib.h>
#include <string.h>

#include "recorder/drainer/memory.h"

#define HAS_SIZE 8u
#define HAS_EXTRA 16u
#define DIRECT 253u /* the first byte that is not itself the number */

static __attribute__((noinline, cold)) void grow(struct stream *stream) {
  stream->capacity = stream->capacity == 0 ? 64 : stream->capacity * 2;
  stream->bytes = memory_resize(stream->bytes, stream->capacity);
}

/* An event writes to six streams or so: this is most of what it costs. */
static inline __attribute__((always_inline)) void *room(struct stream *stream, size_t bytes) {
  if (stream->length + bytes > stream->capacity) grow(stream);
  void *found = stream->bytes + stream->length;
  stream->length += bytes;
  return found;
}

static inline void add_byte(struct stream *stream, uint8_t byte) {
  *(uint8_t *)room(stream, 1) = byte;
}

/* Little-endian, as the machines are that this is built for. */
static void add_wide(struct stream *stream, uint64_t value, size_t bytes) {
  memcpy(room(stream, bytes), &value, bytes);
}

static void add_number(struct columns *columns, enum number number, uint64_t value) {
  struct stream *streams = &columns->streams[2 + 4 * number];
  unsigned width = (value >= DIRECT) + (value >> 16 != 0) + (value >> 32 != 0);
  add_byte(streams, (uint8_t)(width == 0 ? value : DIRECT - 1 + width));
  if (width != 0) add_wide(streams + width, value, (size_t)1 << width);
}

static uint64_t folded(uint64_t from, uint64_t to) {
  int64_t step = (int64_t)(to - from);
  return (uint64_t)step << 1 ^ (uint64_t)(step >> 63);
}

static uint32_t word_of(const struct row *row, enum told told) {
  unsigned flags = told;
  if (row->size != 0) flags |= HAS_SIZE;
  if (row->extra != 0) flags |= HAS_EXTRA;
  return row->kind | row->entry << 8 | row->align_log2 << 16 | flags << 24;
}

/* MOST_WORDS: there is no room for another one. */
static uint32_t look_up(struct columns *columns, uint32_t word) {
  uint8_t *guess = &columns->guesses[word * 0x9e3779b1u >> 24];
  if (*guess < columns->word_count && columns->words[*guess] == word) return *guess;
  uint32_t place = 0;
  while (place < columns->word_count && columns->words[place] != word) place++;
  if (place == columns->word_count && place < MOST_WORDS) {
    columns->words[columns->word_count++] = word;
    add_wide(&columns->streams[0], word, 4);
  }
  if (place < MOST_WORDS) *guess = (uint8_t)place;
  return place;
}

static void tell_object(struct columns *columns, const struct row *row, enum told told) {
  if (told == TOLD_AGE) add_number(columns, NUMBER_AGE, row->age);
  if (told == TOLD_NEAR) add_number(columns, NUMBER_STEP, folded(columns->own_place, row->place));
  if (told == TOLD_AGE || told == TOLD_NEAR) columns->own_place = row->place;
  if (told != TOLD_FOREIGN) return;
  add_number(columns, NUMBER_OWNER, row->owner);
  add_number(columns, NUMBER_PLACE, folded(columns->place, row->place));
  columns->place = row->place;
}

bool columns_add(struct columns *columns, const struct row *row) {
  if (columns->count == CHUNK_EVENTS) return false;
  bool is_near = row->told == TOLD_AGE && folded(columns->own_place, row->place) < row->age;
  enum told told = is_near ? TOLD_NEAR : row->told;
  uint32_t op = look_up(columns, word_of(row, told));
  if (op == MOST_WORDS) return false;
  add_byte(&columns->streams[1], (uint8_t)op);
  uint64_t time = row->time > columns->time ? row->time : columns->time;
  add_number(columns, NUMBER_TIME, time - columns->time);
  columns->time = time;
  if (row->size != 0) add_number(columns, NUMBER_SIZE, row->size);
  if (row->extra != 0) add_number(columns, NUMBER_EXTRA, row->extra);
  tell_object(columns, row, told);
  columns->count++;
  columns->births += told == TOLD_BIRTH;
  return true;
}

void columns_begin(struct columns *columns) {
  for (size_t i = 0; i < STREAMS; i++) columns->streams[i].length = 0;
  columns->first_birth += columns->births;
  columns->base_time = columns->time;
  columns->word_count = columns->count = columns->births = 0;
  columns->own_place = columns->place = 0;
}

void columns_lengths(const struct columns *columns, uint32_t lengths[STREAMS]) {
  for (size_t i = 0; i < STREAMS; i++) lengths[i] = (uint32_t)columns->streams[i].length;
}

void columns_drop(struct columns *columns) {
  for (size_t i = 0; i < STREAMS; i++) {
    free(columns->streams[i].bytes);
    columns->streams[i] = (struct stream){0};
  }
}
