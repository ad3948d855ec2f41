/* faulty_allocator: bumps through one array, and has the fault that -DFAULT names,
 * so that a test can see the exerciser find it. FAULT=NONE is correct.
 */
#include <string.h>

#include "allocphase.h"

enum { NONE, OVERLAP, MISALIGNED, UNALIGNED_ALIGNED, UNZEROED, FORGETFUL, SMALL, BROKEN, GREEDY };

#define SPACE ((size_t)1 << 20)
#define USABLE 128u /* of every block: the stream asks for less */

static _Alignas(4096) char space[SPACE];
static size_t used;

static int faulty_init(const struct allocphase_config *config) {
  (void)config;
  return 0;
}

static void faulty_fini(void) {}

static void *cut(size_t alignment, size_t size) {
  if (size > USABLE && FAULT != GREEDY) return NULL;
  used = (used + alignment - 1) & -alignment;
  char *block = space + used;
  used += USABLE + 8; /* so that the next is not aligned to 16 by chance */
  return memset(block, 0xa5, USABLE);
}

static void *faulty_malloc(size_t size) {
  if (FAULT == OVERLAP) used = 0;
  return cut(FAULT == MISALIGNED ? 8 : 16, size);
}

static void faulty_free(void *block) { (void)block; }

static void *faulty_calloc(size_t count, size_t size) {
  if (count > USABLE || size > USABLE) return NULL;
  void *block = cut(16, count * size);
  return FAULT == UNZEROED || block == NULL ? block : memset(block, 0, count * size);
}

static void *faulty_realloc(void *block, size_t size) {
  void *moved = cut(16, size);
  return FAULT == FORGETFUL || moved == NULL ? moved : memcpy(moved, block, size);
}

static void *faulty_aligned_alloc(size_t alignment, size_t size) {
  if ((alignment & (alignment - 1)) != 0) return NULL;
  return cut(FAULT == UNALIGNED_ALIGNED ? 16 : alignment, size);
}

static size_t faulty_usable_size(const void *block) {
  return block == NULL || FAULT == SMALL ? 1 : USABLE;
}

static const char *faulty_check(void) { return FAULT == BROKEN ? "broken on purpose" : NULL; }

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = faulty_init,
    .fini = faulty_fini,
    .malloc = faulty_malloc,
    .free = faulty_free,
    .calloc = faulty_calloc,
    .realloc = faulty_realloc,
    .aligned_alloc = faulty_aligned_alloc,
    .usable_size = faulty_usable_size,
    .check = faulty_check,
};

const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
