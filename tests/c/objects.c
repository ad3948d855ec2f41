/* objects SPACING COUNT: births and deaths at COUNT addresses, SPACING bytes apart, in any order,
 * against a plain array of who lives. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "recorder/drainer/objects.h"

#define ADDRESS ((uint64_t)0x7f0000000010)
#define ROUNDS 4

static uint64_t spacing, *births; /* of who lives at each address, plus 1; 0: nobody */
static size_t count;

static uint64_t address_of(size_t i) { return ADDRESS + i * spacing; }

static void require(bool holds, const char *what, size_t i) {
  if (holds) return;
  printf("%s: %zu\n", what, i);
  exit(1);
}

static uint64_t any(void) {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

static void die_or_be_born(struct objects *objects, size_t i) {
  static uint64_t born;
  const struct object *found = objects_find(objects, address_of(i));
  require((found != NULL) == (births[i] != 0), "lives", i);
  if (found != NULL) {
    require(found->birth == births[i] - 1 && found->size == i, "is another one", i);
    objects_remove(objects, found);
    births[i] = 0;
  } else {
    const struct object object = {.address = address_of(i), .birth = born++, .size = i};
    require(objects_add(objects, &object), "was there", i);
    births[i] = born;
  }
}

static void require_same(const struct objects *objects) {
  size_t living = 0;
  struct object *sorted = objects_sorted(objects);
  for (size_t i = 0; i < count; i++) {
    const struct object *found = objects_find(objects, address_of(i));
    require((found == NULL ? 0 : (uint64_t)found->birth + 1) == births[i], "differs", i);
    living += births[i] != 0;
  }
  require(objects->count == living, "count", objects->count);
  for (size_t i = 0; i < living; i++) {
    require(births[sorted[i].size] == (uint64_t)sorted[i].birth + 1, "sorted", i);
    require(i == 0 || sorted[i - 1].birth < sorted[i].birth, "order", i);
  }
  free(sorted);
}

int main(int arguments, char **words) {
  struct objects objects = {0};
  if (arguments != 3) return 2;
  spacing = strtoull(words[1], NULL, 10);
  count = strtoull(words[2], NULL, 10);
  births = calloc(count, sizeof *births);
  if (births == NULL) return 2;
  require_same(&objects);
  for (size_t i = 0; i < count; i++) die_or_be_born(&objects, i);
  require_same(&objects);
  for (size_t i = 0; i < count * ROUNDS; i++) die_or_be_born(&objects, any() % count);
  require_same(&objects);
  struct objects copy = objects_copy(&objects);
  require_same(&copy);
  for (size_t i = 0; i < count; i++)
    if (births[i] != 0) die_or_be_born(&objects, i);
  require(objects.count == 0 && copy.count != 0, "is empty", objects.count);
  objects_drop(&objects);
  objects_drop(&copy);
  require_same(&objects);
  free(births);
  return 0;
}
