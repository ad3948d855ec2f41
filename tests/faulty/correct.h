/* correct.h: a small allocator without a fault, for each faulty one to start from.
 *
 * Blocks come in powers of two from one mapping. A freed block is the next one of its
 * size to be handed out; its size stands in the 16 bytes before it. calloc, realloc
 * and aligned_alloc are left to the driver.
 *
 * The setting `fault` says which of a file's faults it has: is("name"). The setting
 * `none` turns all of them off, so that a test can see that it was the fault.
 */
#ifndef FAULTY_CORRECT_H
#define FAULTY_CORRECT_H

#include "os.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "allocphase.h"

#define REGION_BYTES ((size_t)256 << 20)
#define PREFIX_BYTES 16
#define CLASSES 29

static const char *fault = "";
static char *region;
static size_t region_used;
static void *free_lists[CLASSES];
static long mallocs, frees;

static inline bool is(const char *name) { return strcmp(fault, name) == 0; }

static inline int correct_init(const struct allocphase_config *config) {
  for (size_t i = 0; i < config->count; i++)
    if (strcmp(config->settings[i].key, "fault") == 0) fault = config->settings[i].value;
  region = os_reserve(REGION_BYTES);
  return region ? 0 : ENOMEM;
}

static inline void correct_fini(void) { os_unmap(region, REGION_BYTES); }

static inline int class_of(size_t size) {
  int class = 5;
  while (((size_t)1 << class) < size + PREFIX_BYTES) class++;
  return class;
}

static inline size_t size_of(const void *block) {
  size_t size;
  memcpy(&size, (const char *)block - PREFIX_BYTES, sizeof size);
  return size;
}

static inline void *correct_malloc(size_t size) {
  if (size > REGION_BYTES / 2) return NULL;
  int class = class_of(size);
  size_t bytes = (size_t)1 << class;
  char *block = free_lists[class];
  if (block) {
    memcpy(&free_lists[class], block, sizeof(void *));
  } else {
    if (bytes > REGION_BYTES - region_used) return NULL;
    block = region + region_used + PREFIX_BYTES;
    region_used += bytes;
  }
  memcpy(block - PREFIX_BYTES, &size, sizeof size);
  mallocs++;
  return block;
}

static inline void correct_free(void *block) {
  if (!block) return;
  int class = class_of(size_of(block));
  memcpy(block, &free_lists[class], sizeof(void *));
  free_lists[class] = block;
  frees++;
}

#define PLUGIN(...)                                                        \
  static const struct allocphase_allocator table = {                       \
      .abi_version = ALLOCPHASE_ABI_VERSION, __VA_ARGS__};                 \
  __attribute__((visibility("default"))) const struct allocphase_allocator \
      *allocphase_plugin(void) {                                           \
    return &table;                                                         \
  }

#endif
