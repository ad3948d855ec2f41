#include "recorder/drainer/objects.h"

#include <stdlib.h>
#include <string.h>

#include "recorder/drainer/memory.h"

/* ---- Segments ------------------------------------------------------------------------------ */

#define MOST_SEGMENTS_AT_ONCE 64 /* 6 MiB: what is cleared by the system in its large pages */

/* Some whose places lie together; each time twice as many, so that few objects take little. */
struct segments {
  struct segments *before;
  size_t count, used;
  struct object *places;
  struct segment segments[MOST_SEGMENTS_AT_ONCE];
};

static struct segment *new_segment(struct objects *objects) {
  struct segments *last = objects->memory;
  if (last == NULL || last->used == last->count) {
    struct segments *more = memory_new(sizeof *more);
    size_t count = last == NULL ? 1 : last->count * 2;
    more->before = last;
    more->count = count < MOST_SEGMENTS_AT_ONCE ? count : MOST_SEGMENTS_AT_ONCE;
    more->places = memory_new_table(more->count * SEGMENT_PLACES * sizeof *more->places);
    objects->memory = last = more;
  }
  struct segment *segment = &last->segments[last->used];
  segment->places = last->places + last->used++ * SEGMENT_PLACES;
  return segment;
}

#define MOST_BITS 26 /* of so many alike nobody hands out addresses, but to fill our memory */

static void double_segments(struct objects *objects) {
  size_t count = (size_t)1 << objects->bits;
  struct segment **segments = memory_new(count * 2 * sizeof *segments);
  for (size_t i = 0; i < count; i++)
    segments[2 * i] = segments[2 * i + 1] = objects->segments[i];
  free(objects->segments);
  objects->segments = segments;
  objects->bits++;
}

static void put(struct segment *segment, uint64_t hash, const struct object *object) {
  *objects_look_up(segment, hash, object->address) = *object;
  segment->count++;
}

/* Those with the next bit of the hash go to a new one, which stands in half of its places. */
static void split(struct objects *objects, struct segment *segment, uint64_t hash) {
  static struct object objects_of_both[SEGMENT_PLACES];
  if (segment->bits == objects->bits) double_segments(objects);
  struct segment *other = new_segment(objects);
  uint64_t bit = (uint64_t)1 << (63 - segment->bits);
  size_t places = (size_t)1 << (objects->bits - segment->bits);
  size_t first = objects_index(objects, hash) & ~(places - 1);
  for (size_t i = places / 2; i < places; i++) objects->segments[first + i] = other;
  segment->bits = other->bits = segment->bits + 1;
  segment->count = 0;
  memcpy(objects_of_both, segment->places, sizeof objects_of_both);
  memset(segment->places, 0, sizeof objects_of_both);
  for (size_t i = 0; i < SEGMENT_PLACES; i++) {
    const struct object *object = &objects_of_both[i];
    uint64_t its_hash = objects_hash(object->address);
    if (object->address != 0) put((its_hash & bit) != 0 ? other : segment, its_hash, object);
  }
}

struct segment *objects_make_room(struct objects *objects, uint64_t hash) {
  if (objects->segments == NULL) {
    objects->segments = memory_new(sizeof *objects->segments);
    objects->segments[0] = new_segment(objects);
  }
  struct segment *segment = objects_segment(objects, hash);
  while (segment->count >= SEGMENT_FULL && segment->bits < MOST_BITS) {
    split(objects, segment, hash);
    segment = objects_segment(objects, hash);
  }
  if (segment->count == SEGMENT_PLACES - 1) _Exit(EXIT_NO_MEMORY);
  return segment;
}

/* ---- Objects ------------------------------------------------------------------------------- */

void objects_remove(struct objects *objects, const struct object *object) {
  struct segment *segment = objects_segment(objects, objects_hash(object->address));
  struct object *places = segment->places;
  size_t gap = (size_t)(object - places);
  for (size_t next = (gap + 1) % SEGMENT_PLACES; places[next].address != 0;
       next = (next + 1) % SEGMENT_PLACES) {
    uint64_t address = places[next].address;
    size_t home = objects_home(segment, objects_hash(address), address);
    if ((next - home) % SEGMENT_PLACES < (next - gap) % SEGMENT_PLACES)
      continue; /* it is behind the gap's */
    places[gap] = places[next];
    gap = next;
  }
  places[gap].address = 0;
  segment->count--;
  objects->count--;
}

struct objects objects_copy(const struct objects *objects) {
  struct objects copy = {0};
  for (const struct segments *some = objects->memory; some != NULL; some = some->before)
    for (size_t i = 0; i < some->used * SEGMENT_PLACES; i++)
      if (some->places[i].address != 0) objects_add(&copy, &some->places[i]);
  return copy;
}

void objects_drop(struct objects *objects) {
  for (struct segments *some = objects->memory; some != NULL;) {
    struct segments *before = some->before;
    free(some->places);
    free(some);
    some = before;
  }
  free(objects->segments);
  *objects = (struct objects){0};
}

static int by_birth(const void *one, const void *other) {
  const struct object *a = one, *b = other;
  if (a->thread != b->thread) return a->thread < b->thread ? -1 : 1;
  return a->birth < b->birth ? -1 : a->birth > b->birth;
}

struct object *objects_sorted(const struct objects *objects) {
  struct object *sorted = memory_new((objects->count + 1) * sizeof *sorted);
  size_t count = 0;
  for (const struct segments *some = objects->memory; some != NULL; some = some->before)
    for (size_t i = 0; i < some->used * SEGMENT_PLACES; i++)
      if (some->places[i].address != 0) sorted[count++] = some->places[i];
  qsort(sorted, count, sizeof *sorted, by_birth);
  return sorted;
}
