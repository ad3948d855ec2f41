/* objects.h: which object lives at an address.
 *
 * An *object* is the n-th birth of a thread. They lie in *segments*, each a small table of open
 * addressing with linear probing; what is taken out closes its gap (Knuth, vol. 3, 6.4, algorithm
 * R), so that none fills up with tombs. A segment that is full is split (Fagin and others:
 * Extendible hashing, 1979): no growth takes so long that a ring fills up meanwhile.
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

#define OBJECTS_GRANULE_BITS 4 /* a place for each 16 bytes */
#define OBJECTS_STRETCH_BITS 7 /* of 128 times as many, which lie in one segment */
#define SEGMENT_BITS 12
#define SEGMENT_PLACES ((size_t)1 << SEGMENT_BITS)
#define SEGMENT_FULL (SEGMENT_PLACES / 8 * 5)

struct segment {
  struct object *places; /* of address 0: empty */
  uint32_t count;
  uint32_t bits; /* of the hash, from the highest, that are those of all in here */
};

struct objects {
  struct segment **segments; /* by the hash's highest bits; one may stand there several times */
  unsigned bits;             /* there are 2^bits of them, but none before the first object */
  size_t count;
  struct segments *memory;
};

/* What lies together in the program's memory does here, too, in few lines of the cache and fewer
 * pages: as a rule it is asked for together. Longer stretches would be in each other's way where
 * blocks are small and lie close. */
static inline uint64_t objects_hash(uint64_t address) {
  return (address >> OBJECTS_GRANULE_BITS >> OBJECTS_STRETCH_BITS) * 0x9e3779b97f4a7c15u;
}

static inline size_t objects_index(const struct objects *objects, uint64_t hash) {
  return hash >> 1 >> (63 - objects->bits);
}

static inline struct segment *objects_segment(const struct objects *objects, uint64_t hash) {
  return objects->segments[objects_index(objects, hash)];
}

/* By the hash's next bits: those of Fibonacci hashing, which lays consecutive stretches apart. */
static inline size_t objects_home(const struct segment *segment, uint64_t hash, uint64_t address) {
  size_t within = (address >> OBJECTS_GRANULE_BITS) % ((size_t)1 << OBJECTS_STRETCH_BITS);
  return (hash << segment->bits >> (64 - SEGMENT_BITS)) ^ within;
}

/* Where it is in its segment, or where it would go. */
static inline struct object *objects_look_up(const struct segment *segment, uint64_t hash,
                                             uint64_t address) {
  size_t at = objects_home(segment, hash, address);
  struct object *place = &segment->places[at];
  while (place->address != 0 && place->address != address) {
    at = (at + 1) % SEGMENT_PLACES;
    place = &segment->places[at];
  }
  return place;
}

/* It will be asked for soon: with many objects each look is a miss, and several are under way. */
static inline void objects_expect(const struct objects *objects, uint64_t address) {
  if (objects->segments == NULL) return;
  uint64_t hash = objects_hash(address);
  const struct segment *segment = objects_segment(objects, hash);
  __builtin_prefetch(&segment->places[objects_home(segment, hash, address)], 1);
}

/* Its segment, with room for one more. */
struct segment *objects_make_room(struct objects *objects, uint64_t hash);

/* False: another one lived at its address, which is gone now. */
static inline bool objects_add(struct objects *objects, const struct object *object) {
  uint64_t hash = objects_hash(object->address);
  struct segment *segment = objects->segments == NULL ? NULL : objects_segment(objects, hash);
  if (__builtin_expect(segment == NULL || segment->count >= SEGMENT_FULL, 0))
    segment = objects_make_room(objects, hash);
  struct object *place = objects_look_up(segment, hash, object->address);
  bool is_new = place->address == 0;
  *place = *object;
  segment->count += is_new;
  objects->count += is_new;
  return is_new;
}

/* NULL: there is none. */
static inline struct object *objects_find(const struct objects *objects, uint64_t address) {
  if (objects->segments == NULL) return NULL;
  uint64_t hash = objects_hash(address);
  struct object *place = objects_look_up(objects_segment(objects, hash), hash, address);
  return place->address == 0 ? NULL : place;
}

/* One that was found, and that is no more. */
void objects_remove(struct objects *objects, const struct object *object);

struct objects objects_copy(const struct objects *objects);
void objects_drop(struct objects *objects);

/* All of them, by thread and birth; to be freed. */
struct object *objects_sorted(const struct objects *objects);

#endif
