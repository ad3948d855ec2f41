#include "recorder/drainer/objects.h"

#include <stdlib.h>
#include <string.h>

#include "recorder/drainer/memory.h"

#define FIRST_BITS 10
#define GRANULE_BITS 4 /* a place for each 16 bytes */
#define STRETCH_BITS 4 /* of 16 times as many */

/* What lies together in the program's memory does here, too, and in few lines of the cache: as a
 * rule it is asked for together. */
static size_t place_of(const struct objects *objects, uint64_t address) {
  uint64_t granule = address >> GRANULE_BITS, stretch = granule >> STRETCH_BITS;
  size_t place = (size_t)(stretch * 0x9e3779b97f4a7c15u >> (64 - objects->bits));
  return place ^ (granule & ((1u << STRETCH_BITS) - 1));
}

static size_t mask_of(const struct objects *objects) { return ((size_t)1 << objects->bits) - 1; }

/* Where it is, or where it would go. */
static size_t look_up(const struct objects *objects, uint64_t address) {
  size_t place = place_of(objects, address), mask = mask_of(objects);
  while (objects->places[place].address != 0 && objects->places[place].address != address)
    place = (place + 1) & mask;
  return place;
}

static void grow(struct objects *objects) {
  struct objects before = *objects;
  objects->bits = before.bits == 0 ? FIRST_BITS : before.bits + 1;
  objects->places = memory_new_table(((size_t)1 << objects->bits) * sizeof *objects->places);
  for (size_t i = 0; before.bits != 0 && i <= mask_of(&before); i++)
    if (before.places[i].address != 0)
      objects->places[look_up(objects, before.places[i].address)] = before.places[i];
  free(before.places);
}

void objects_expect(const struct objects *objects, uint64_t address) {
  if (objects->bits != 0) __builtin_prefetch(&objects->places[place_of(objects, address)], 1);
}

bool objects_add(struct objects *objects, const struct object *object) {
  if (objects->bits == 0 || objects->count * 8 > mask_of(objects) * 5) grow(objects);
  size_t place = look_up(objects, object->address);
  bool is_new = objects->places[place].address == 0;
  objects->places[place] = *object;
  objects->count += is_new;
  return is_new;
}

bool objects_find(const struct objects *objects, uint64_t address, struct object *found) {
  if (objects->bits == 0) return false;
  *found = objects->places[look_up(objects, address)];
  return found->address != 0;
}

bool objects_remove(struct objects *objects, uint64_t address, struct object *found) {
  if (objects->bits == 0) return false;
  size_t gap = look_up(objects, address), mask = mask_of(objects);
  *found = objects->places[gap];
  if (found->address == 0) return false;
  for (size_t next = (gap + 1) & mask; objects->places[next].address != 0;
       next = (next + 1) & mask) {
    size_t home = place_of(objects, objects->places[next].address);
    if (((next - home) & mask) < ((next - gap) & mask)) continue; /* it is behind the gap's */
    objects->places[gap] = objects->places[next];
    gap = next;
  }
  objects->places[gap].address = 0;
  objects->count--;
  return true;
}

struct objects objects_copy(const struct objects *objects) {
  struct objects copy = *objects;
  if (objects->bits == 0) return copy;
  size_t bytes = (mask_of(objects) + 1) * sizeof *copy.places;
  copy.places = memory_new_table(bytes);
  memcpy(copy.places, objects->places, bytes);
  return copy;
}

void objects_drop(struct objects *objects) {
  free(objects->places);
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
  for (size_t i = 0; objects->bits != 0 && i <= mask_of(objects); i++)
    if (objects->places[i].address != 0) sorted[count++] = objects->places[i];
  qsort(sorted, count, sizeof *sorted, by_birth);
  return sorted;
}
