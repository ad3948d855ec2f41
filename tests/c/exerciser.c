/* exerciser: does what a program may do to an allocator, and looks for faults.
 *
 * It is linked with one allocator's source, so that the sanitizers see both:
 *
 *     exerciser CHECK_EVERY [key=value ...] < operations
 *
 * An operation is 24 bytes (struct op). Any stream of them is a valid program: an
 * allocation on a slot that is filled frees it first, a free of an empty one does
 * nothing. After each operation the new block must be aligned, apart from all live
 * ones, and zeroed if calloc made it; when a block is released or moved it must
 * hold what was written. The allocator's own check runs every CHECK_EVERY
 * operations and at the end, before and after all blocks are freed.
 *
 * The first fault goes to stderr, exit code 1. A refused init is exit code 3. The
 * allocator's statistics go to stdout, before the last blocks are freed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocphase.h"
#include "initialise.h"

enum kind { MALLOC, CALLOC, REALLOC, ALIGNED_ALLOC, FREE, FREE_FOREIGN, KINDS };

static const char *const kind_names[KINDS] = {
    "malloc", "calloc", "realloc", "aligned_alloc", "free", "free from another domain",
};

struct op {
  uint8_t kind;
  uint8_t align_log2;
  uint16_t slot;
  uint32_t size;
  struct allocphase_tag tag;
};

_Static_assert(sizeof(struct op) == 24, "test_own_allocators.py: OP");

#define SLOTS 65536u
#define MOST_LIVE 65536u
#define PAGE 4096u
#define CALLOC_COUNT 3u /* a count that divides few sizes */

struct object {
  unsigned char *block; /* NULL: empty */
  size_t size, extent;  /* asked for, usable */
  size_t rank;          /* in live[] */
  struct allocphase_tag tag;
  unsigned seed;
};

static struct object objects[SLOTS];
static struct object *live[MOST_LIVE];
static size_t live_count;
static const struct allocphase_allocator *allocator;
static size_t op_index;
static const char *op_name = "start";

static void fault(const char *what) {
  fprintf(stderr, "operation %zu (%s): %s\n", op_index, op_name, what);
  exit(1);
}

/* ---- Patterns ---------------------------------------------------------------------- */

/* All of a small block; of a large one both ends and a byte in each page. */
static size_t next_sample(size_t at, size_t size) {
  if (at < 512 || at + 512 >= size) return at + 1;
  size_t page = (at / PAGE + 1) * PAGE;
  return page < size - 512 ? page : size - 512;
}

static unsigned char pattern(unsigned seed, size_t at) {
  return (unsigned char)((seed * 2654435761u + (unsigned)at * 40503u) >> 13);
}

static void fill(struct object *object) {
  static unsigned seeds;
  object->seed = ++seeds;
  for (size_t at = 0; at < object->size; at = next_sample(at, object->size))
    object->block[at] = pattern(object->seed, at);
}

/* The first `kept` bytes of a block that was written when its size was `size`. */
static void verify(const unsigned char *block, unsigned seed, size_t size, size_t kept) {
  for (size_t at = 0; at < kept; at = next_sample(at, size))
    if (block[at] != pattern(seed, at)) fault("the block does not hold what was written");
}

static void verify_zeroed(const unsigned char *block, size_t size) {
  if (size > 0 && (block[0] != 0 || memcmp(block, block + 1, size - 1) != 0))
    fault("the block is not zeroed");
}

/* ---- Placement --------------------------------------------------------------------- */

static void verify_apart(const struct object *object) {
  uintptr_t start = (uintptr_t)object->block, end = start + object->extent;
  for (size_t i = 0; i < live_count; i++) {
    uintptr_t other = (uintptr_t)live[i]->block, other_end = other + live[i]->extent;
    if (start < other_end && other < end) fault("the block overlaps a live one");
    if (start == other) fault("two live blocks of size 0 have one address");
    if (allocator->malloc_tagged == NULL || object->tag.domain == live[i]->tag.domain) continue;
    if (start / PAGE * PAGE < other_end && other / PAGE * PAGE < end)
      fault("two domains share a page");
  }
}

static void verify_placed(struct object *object, size_t alignment) {
  if (object->block == NULL) fault("returned NULL");
  if ((uintptr_t)object->block % alignment != 0) fault("the block is not aligned");
  object->extent = object->size;
  if (allocator->usable_size != NULL) object->extent = allocator->usable_size(object->block);
  if (object->extent < object->size) fault("usable_size is below the size asked for");
  verify_apart(object);
}

static void add(struct object *object) {
  if (live_count == MOST_LIVE) fault("the stream keeps too many blocks");
  object->rank = live_count;
  live[live_count++] = object;
}

static void drop(struct object *object) {
  live[object->rank] = live[--live_count];
  live[object->rank]->rank = object->rank;
  object->block = NULL;
  object->size = 0;
}

/* ---- Operations -------------------------------------------------------------------- */

static int is_tagged(const struct allocphase_tag *tag) {
  return allocator->malloc_tagged != NULL && (tag->class_id || tag->domain || tag->hint_hz != 0);
}

static void do_free(struct object *object) {
  if (object->block == NULL) return;
  verify(object->block, object->seed, object->size, object->size);
  if (!is_tagged(&object->tag)) allocator->free(object->block);
  else if (allocator->free_tagged(object->block, &object->tag) != 0) fault("refused its own block");
  drop(object);
}

static void do_free_foreign(const struct object *object, struct allocphase_tag tag) {
  if (object->block == NULL || allocator->free_tagged == NULL) return;
  if (tag.domain == object->tag.domain) tag.domain++;
  if (allocator->free_tagged(object->block, &tag) != EPERM) fault("was not refused");
  verify(object->block, object->seed, object->size, object->size);
}

static void *allocate(const struct op *op) {
  if (op->kind == CALLOC) return allocator->calloc(CALLOC_COUNT, op->size / CALLOC_COUNT);
  if (op->kind == ALIGNED_ALLOC)
    return allocator->aligned_alloc((size_t)1 << op->align_log2, op->size);
  return is_tagged(&op->tag) ? allocator->malloc_tagged(op->size, &op->tag)
                             : allocator->malloc(op->size);
}

static void do_allocate(struct object *object, const struct op *op) {
  do_free(object);
  size_t size = op->kind == CALLOC ? op->size / CALLOC_COUNT * CALLOC_COUNT : op->size;
  *object = (struct object){.block = allocate(op), .size = size};
  if (op->kind == MALLOC) object->tag = op->tag;
  size_t alignment = op->kind == ALIGNED_ALLOC ? (size_t)1 << op->align_log2 : 16;
  verify_placed(object, alignment < 16 ? 16 : alignment);
  if (op->kind == CALLOC) verify_zeroed(object->block, size);
  add(object);
  fill(object);
}

static void do_realloc(struct object *object, const struct op *op) {
  struct object old = *object;
  if (old.block != NULL) {
    verify(old.block, old.seed, old.size, old.size);
    drop(object);
  }
  object->block = allocator->realloc(old.block, op->size);
  object->size = op->size;
  if (old.block == NULL) object->tag = (struct allocphase_tag){0};
  verify_placed(object, 16);
  verify(object->block, old.seed, old.size, old.size < op->size ? old.size : op->size);
  add(object);
  fill(object);
}

static void run(const struct op *op) {
  struct object *object = &objects[op->slot];
  if (op->kind >= KINDS) fault("no such operation");
  op_name = kind_names[op->kind];
  if (op->kind == FREE) do_free(object);
  else if (op->kind == FREE_FOREIGN) do_free_foreign(object, op->tag);
  else if (op->kind == REALLOC) do_realloc(object, op);
  else do_allocate(object, op);
}

/* ---- The program ------------------------------------------------------------------- */

static void check(void) {
  const char *broken = allocator->check == NULL ? NULL : allocator->check();
  if (broken != NULL) fault(broken);
}

static void print_stat(void *context, const char *name, double value) {
  (void)context;
  printf("%s %.17g\n", name, value);
}

/* What no stream can ask for: nothing here may succeed, or crash. */
static void refuse_the_impossible(void) {
  op_name = "an impossible request";
  if (allocator->malloc(SIZE_MAX) != NULL) fault("malloc(SIZE_MAX) succeeded");
  if (allocator->malloc(SIZE_MAX / 2 - 64) != NULL) fault("malloc(PTRDIFF_MAX) succeeded");
  if (allocator->calloc(SIZE_MAX / 2, 3) != NULL) fault("calloc overflowed");
  if (allocator->aligned_alloc(64, SIZE_MAX - 32) != NULL) fault("aligned_alloc overflowed");
  if (allocator->aligned_alloc(48, 64) != NULL) fault("aligned_alloc took 48 for an alignment");
  allocator->free(NULL);
}

int main(int argc, char **argv) {
  allocator = allocphase_plugin();
  if (argc < 2 || allocator->abi_version != ALLOCPHASE_ABI_VERSION) return 2;
  size_t check_every = strtoul(argv[1], NULL, 10);
  int error = initialise(allocator, argc - 2, argv + 2);
  if (error != 0) {
    fprintf(stderr, "init: %s\n", strerror(error));
    return 3;
  }
  refuse_the_impossible();
  for (struct op op; fread(&op, sizeof op, 1, stdin) == 1; op_index++) {
    run(&op);
    if (check_every != 0 && op_index % check_every == 0) check();
  }
  op_name = "end";
  check();
  if (allocator->stats != NULL) allocator->stats(print_stat, NULL);
  while (live_count > 0) do_free(live[live_count - 1]);
  check();
  allocator->fini();
  return 0;
}
