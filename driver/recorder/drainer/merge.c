#include "recorder/drainer/merge.h"

#include <stdbool.h>

#include "recorder/drainer/living.h"
#include "recorder/drainer/rings.h"

/* Of its rings the one with the earliest event, and the time of the second; NULL: none until
 * `limit`. */
static struct ring_end *earliest(const struct image *image, uint64_t limit, uint64_t *next_time) {
  struct ring_end *first = NULL;
  *next_time = limit;
  for (size_t i = 0; i < image->end_count; i++) {
    struct ring_end *end = image->ends[i];
    if (!end->holds || end->event.time > limit) continue;
    if (first == NULL || end->event.time < first->event.time) {
      if (first != NULL) *next_time = first->event.time;
      first = end;
    } else if (end->event.time < *next_time) {
      *next_time = end->event.time;
    }
  }
  return first;
}

static bool is_damaged; /* then nothing more is taken of anybody */

#define BIRTHS (1u << KIND_ALLOCATION | 1u << KIND_REALLOC_END | 1u << KIND_REALLOC_FAILED)
#define DEATHS (1u << KIND_FREE | 1u << KIND_REALLOC_BEGIN)
#define NEED_LIVE (DEATHS | 1u << KIND_USABLE_SIZE | 1u << KIND_TOUCHED)

static void take_next(struct image *image, struct ring_end *end);

static inline void take(struct image *image, struct ring_end *end) {
  living_take(image, end->thread, &end->event);
  rings_use(end);
}

/* Kinds of what has to go before an event, by what lives at its address: 0, nothing. */
static unsigned missing_before(const struct image *image, uint64_t name) {
  unsigned kind = 1u << event_kind(name);
  uint64_t address = event_address(name);
  if (address == 0 || (kind & (BIRTHS | NEED_LIVE)) == 0) return 0;
  bool lives = objects_find(&image->objects, address) != NULL;
  if (lives) return (kind & BIRTHS) != 0 ? DEATHS : 0;
  return (kind & NEED_LIVE) != 0 ? BIRTHS : 0;
}

/* Takes it from whichever other ring has it. */
static void take_what_goes_before(struct image *image, struct ring_end *self, unsigned kinds) {
  uint64_t address = event_address(self->event.name);
  uint64_t until = self->event.time + image_scale.microsecond;
  self->waits = true;
  for (size_t i = 0; i < image->end_count; i++) {
    struct ring_end *end = image->ends[i];
    if (end->waits) continue;
    if (!rings_look(end)) is_damaged = true;
    if (is_damaged || !rings_have(end, kinds, address, until)) continue;
    for (bool found = false; !found && rings_next(end) == RING_EVENT;) {
      found = event_is(end->event.name, kinds, address);
      take_next(image, end);
    }
    if (rings_next(end) == RING_DAMAGED) is_damaged = true; /* its turn may be the next one */
    break;
  }
  self->waits = false;
}

/* The event that a ring holds. */
static void take_next(struct image *image, struct ring_end *end) {
  unsigned missing = missing_before(image, end->event.name);
  if (missing != 0) take_what_goes_before(image, end, missing);
  take(image, end);
}

/* Then all rings are looked at again, and children of forks take their copies. */
#define EVENTS_A_TURN 16384
#define COPIES_A_TURN (MOST_COPIES / 2)

enum merged merge(struct image *image, uint64_t limit) {
  unsigned events = 0, copies = image->copy_count;
  uint64_t until;
  struct ring_end *end;
  for (size_t i = 0; i < image->end_count; i++)
    if (rings_next(image->ends[i]) == RING_DAMAGED) is_damaged = true;
  bool is_only_one = image->end_count == 1, is_over = false;
  while (!is_damaged && !is_over && (end = earliest(image, limit, &until)) != NULL) {
    do {
      objects_expect(&image->objects, rings_soon(end));
      if (is_only_one) take(image, end);
      else take_next(image, end);
      if (rings_next(end) == RING_DAMAGED) is_damaged = true;
      is_over = ++events == EVENTS_A_TURN || image->copy_count - copies == COPIES_A_TURN;
    } while (end->holds && end->event.time <= until && !is_damaged && !is_over);
  }
  if (is_damaged) return MERGE_DAMAGED;
  return is_over ? MERGED_SOME : MERGED_ALL;
}
