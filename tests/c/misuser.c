/* misuser: does to an allocator what no program may do, or what only looks like it.
 *
 * Linked with one allocator's source, as the exerciser is:
 *
 *     misuser CALL WHAT SIZE [OFFSET]
 *
 * CALL is free, realloc or usable_size; WHAT is the address that it gets:
 *
 *     twice     a block that was freed just before
 *     later     one of many blocks, half of them freed since
 *     last      one of many blocks, all of them freed since
 *     beside    a block that was freed just before one of another size
 *     covered   a block that was freed, within a live one that took its place
 *     stack     a local variable
 *     static    a static variable
 *     inside    OFFSET bytes behind the beginning of a live block
 *     alike     a live block that holds what a freed one of its size does
 *
 * Prints the address before the call and the allocator's fault after it; exit code 1
 * if there is one. All but `alike` are expected to abort.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocphase.h"

#define MANY 300

static const struct allocphase_allocator *allocator;
static char *blocks[MANY];

static char *expect(void *block) {
  if (block != NULL) return block;
  fputs("no memory\n", stderr);
  exit(2);
}

static void allocate_many(size_t size) {
  for (int i = 0; i < MANY; i++) memset(blocks[i] = expect(allocator->malloc(size)), 'x', size);
}

static void free_many(int step) {
  for (int i = 0; i < MANY; i += step) allocator->free(blocks[i]);
}

static void *twice(size_t size) {
  void *block = expect(allocator->malloc(size));
  allocator->free(block);
  return block;
}

static void *later(size_t size) {
  allocate_many(size);
  free_many(2);
  return blocks[MANY / 2];
}

static void *last(size_t size) {
  allocate_many(size);
  free_many(1);
  return blocks[MANY / 2];
}

static void *beside(size_t size) {
  void *block = expect(allocator->malloc(size)), *other = expect(allocator->malloc(size + 1000));
  allocator->free(block);
  allocator->free(other);
  return block;
}

static void *covered(size_t size) {
  void *first = expect(allocator->malloc(size)), *second = expect(allocator->malloc(size));
  allocator->free(second);
  allocator->free(first);
  if (expect(allocator->malloc(3 * size)) != first) exit(2);
  return second;
}

/* What the allocator wrote into its free block is what the live one holds. */
static void *alike(size_t size) {
  allocate_many(size);
  char *freed = blocks[0], *live = blocks[1];
  size_t bytes = allocator->usable_size(live);
  allocator->free(blocks[2]); /* so that the next free block links to one */
  allocator->free(freed);
  memcpy(live, freed, bytes);
  return live;
}

static void *address(const char *what, size_t size, size_t offset) {
  static char variable[64];
  static char *on_stack;
  char local[64];
  on_stack = local + 16;
  if (strcmp(what, "twice") == 0) return twice(size);
  if (strcmp(what, "later") == 0) return later(size);
  if (strcmp(what, "last") == 0) return last(size);
  if (strcmp(what, "beside") == 0) return beside(size);
  if (strcmp(what, "covered") == 0) return covered(size);
  if (strcmp(what, "alike") == 0) return alike(size);
  if (strcmp(what, "stack") == 0) return on_stack;
  if (strcmp(what, "static") == 0) return variable + 16;
  if (strcmp(what, "inside") == 0) return (char *)expect(allocator->malloc(size)) + offset;
  exit(2);
}

static void call(const char *name, void *block) {
  if (strcmp(name, "free") == 0) allocator->free(block);
  else if (strcmp(name, "realloc") == 0) allocator->realloc(block, 100000);
  else if (strcmp(name, "usable_size") == 0) allocator->usable_size(block);
  else exit(2);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  size_t size = strtoul(argv[3], NULL, 10), offset = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
  allocator = allocphase_plugin();
  if (allocator->init(&(struct allocphase_config){0}) != 0) return 2;
  void *block = address(argv[2], size, offset);
  printf("%p\n", block);
  fflush(stdout);
  call(argv[1], block);
  const char *fault = allocator->check();
  if (fault != NULL) puts(fault);
  return fault != NULL;
}
