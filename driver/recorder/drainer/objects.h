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
  size_t count;
  unsigned bits; /* there are 2^bits places; 0: none yet */
};

/* It will be asked for soon: with many objects each look is a miss, and so several are under way. */
void objects_expect(const struct objects *objects, uint64_t address);

/* False: another one lives at its address, which is gone now. */
bool objects_add(struct objects *objects, const struct object *object);

/* False: there is none. */
bool objects_find(const struct objects *objects, uint64_t address, struct object *found);
bool objects_remove(struct objects *objects, uint64_t address, struct object *found);

struct objects objects_copy(const struct objects *objects);
void objects_drop(struct objects *objects);

/* All of them, by thread and birth; to be freed. */
struct object *objects_sorted(const struct objects *objects);

#endif
