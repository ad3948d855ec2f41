#include "recorder/drainer/objects.h"

#include <stdlib.h>
#include <string.h>

#include "recorder/drainer/memory.h"

#define FIRST_BITS 10

void objects_grow(struct objects *objects) {
  struct objects before = *objects;
  objects->bits = before.bits == 0 ? FIRST_BITS : before.bits + 1;
  objects->mask = ((size_t)1 << objects->bits) - 1;
  objects->places = memory_new_table((objects->mask + 1) * sizeof *objects->places);
  for (size_t i = 0; before.bits != 0 && i <= before.mask; i++)
    if (before.places[i].address != 0)
      *objects_look_up(objects, before.places[i].address) = before.places[i];
  free(before.places);
}

void objects_remove(struct objects *objects, const struct object *object) {
  size_t gap = (size_t)(object - objects->places), mask = objects->mask;
  for (size_t next = (gap + 1) & mask; objects->places[next].address != 0;
       next = (next + 1) & mask) {
    size_t home = objects_home(objects, objects->places[next].address);
    if (((next - home) & mask) < ((next - gap) & mask)) continue; /* it is behind the gap's */
    objects->places[gap] = objects->places[next];
    gap = next;
  }
  objects->places[gap].address = 0;
  objects->count--;
}

struct objects objects_copy(const struct objects *objects) {
  struct objects copy = *objects;
  if (objects->bits == 0) return copy;
  size_t bytes = (objects->mask + 1) * sizeof *copy.places;
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
  for (size_t i = 0; objects->bits != 0 && i <= objects->mask; i++)
    if (objects->places[i].address != 0) sorted[count++] = objects->places[i];
  qsort(sorted, count, sizeof *sorted, by_birth);
  return sorted;
}
