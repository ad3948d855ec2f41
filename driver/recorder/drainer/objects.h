/* objects.h: which object lives at an address.
 *
 * An *object* is the n-th birth of a thread. Open addressing with linear probing; what is taken
 * out closes its gap (Knuth, vol. 3, 6.4, algorithm R), so that no table fills up with tombs.
 */
#ifndef ALLOCPHASE_RECORDER_OBJECTS_H
#define ALLOCPHASE_RECORDER_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct object {
  uint64_t address : 48; /* never 0 */
  uint64_t align_log2 : 6;
  uint64_t thread : 20;
  uint64_t birth : 44; /* of its thread's */
  uint64_t size;
};

_Static_assert(sizeof(struct object) == 24, "nearly three to a line");

struct objects {
  struct object *places; /* of address 0: empty */
  size_t count, mask;
  unsigned bits; /* there are 2^bits places, and mask is one less; 0: none yet */
};

void objects_grow(struct objects *objects);

#define OBJECTS_GRANULE_BITS 4 /* a place for each 16 bytes */
#define OBJECTS_STRETCH_BITS 7 /* of 128 times as many */

/* What lies together in the program's memory does here, too, in few lines of the cache and fewer
 * pages: as a rule it is asked for together. Longer stretches would be in each other's way where
 * blocks are small and lie close. */
static inline size_t objects_home(const struct objects *objects, uint64_t address) {
  uint64_t granule = address >> OBJECTS_GRANULE_BITS, stretch = granule >> OBJECTS_STRETCH_BITS;
  size_t place = (size_t)(stretch * 0x9e3779b97f4a7c15u >> (64 - objects->bits));
  return place ^ (granule & ((1u << OBJECTS_STRETCH_BITS) - 1));
}

/* Where it is, or where it would go. */
static inline struct object *objects_look_up(const struct objects *objects, uint64_t address) {
  size_t at = objects_home(objects, address);
  struct object *place = &objects->places[at];
  while (place->address != 0 && place->address != address) {
    at = (at + 1) & objects->mask;
    place = &objects->places[at];
  }
  return place;
}

/* It will be asked for soon: with many objects each look is a miss, and so several are under way. */
static inline void objects_expect(const struct objects *objects, uint64_t address) {
  if (objects->bits != 0) __builtin_prefetch(&objects->places[objects_home(objects, address)], 1);
}

/* False: another one lived at its address, which is gone now. */
static inline bool objects_add(struct objects *objects, const struct object *object) {
  if (__builtin_expect(objects->count * 8 >= objects->mask * 5, 0)) objects_grow(objects);
  struct object *place = objects_look_up(objects, object->address);
  bool is_new = place->address == 0;
  *place = *object;
  objects->count += is_new;
  return is_new;
}

/* NULL: there is none. */
static inline struct object *objects_find(const struct objects *objects, uint64_t address) {
  if (objects->bits == 0) return NULL;
  struct object *place = objects_look_up(objects, address);
  return place->address == 0 ? NULL : place;
}

/* One that was found, and that is no more. */
void objects_remove(struct objects *objects, const struct object *object);

struct objects objects_copy(const struct objects *objects);
void objects_drop(struct objects *objects);

/* All of them, by thread and birth; to be freed. */
struct object *objects_sorted(const struct objects *objects);

#endif
