/* wrong: breaks the contract, from its third malloc on.
 *
 *   null          has no memory
 *   wild          hands out an address that is nobody's
 *   overlap       hands out the inside of the block before
 *   misaligned    hands out blocks 8 bytes off
 *   dirty-calloc  does not clear
 *   lost-prefix   moves without copying
 *   neighbour     writes behind a block: into the next one
 *   padding       writes behind a block: into what is nobody's
 *   late-write    writes into a block that was freed, and is somebody else's again */
#include "correct.h"

static char *last, *freed;
static char *neighbour; /* the last block as long as it lives: its own lists stay whole */

static bool now(const char *name) { return mallocs > 2 && is(name); }

static void *faulty_malloc(size_t size) {
  if (mallocs == 2 && is("null")) return NULL;
  char *block = correct_malloc(size);
  if (now("late-write") && freed) memset(freed, 0xee, 8);
  if (now("wild")) return (void *)((uintptr_t)REGION_BYTES & ~(uintptr_t)15);
  if (now("overlap")) return last + 16;
  if (now("misaligned")) return block + 8;
  if (now("neighbour") && neighbour) memset(neighbour, 0xee, 1);
  if (now("padding") && size % 32 == 8) memset(block + size, 0xee, 1);
  return last = neighbour = block;
}

static void faulty_free(void *block) {
  if (!freed) freed = block;
  if (block == neighbour) neighbour = NULL;
  if (now("overlap") || now("misaligned")) return; /* its own lists stay whole */
  correct_free(block);
}

static void *faulty_calloc(size_t count, size_t size) {
  size_t bytes;
  char *block = __builtin_mul_overflow(count, size, &bytes) ? NULL : correct_malloc(bytes);
  return block ? memset(block, is("dirty-calloc"), count * size) : NULL;
}

static void *faulty_realloc(void *old, size_t size) {
  char *block = faulty_malloc(size);
  if (!block || !old) return block;
  size_t kept = size_of(old) < size ? size_of(old) : size;
  if (!is("lost-prefix")) memcpy(block, old, kept);
  faulty_free(old);
  return block;
}

PLUGIN(.init = correct_init, .fini = correct_fini, .malloc = faulty_malloc, .free = faulty_free,
       .calloc = faulty_calloc, .realloc = faulty_realloc)
