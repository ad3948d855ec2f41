/* arena.h: the least allocator that is correct, for test plug-ins to misbehave on.
 *
 * One mapping, made at init; each block is cut behind the last one and never used
 * again, so that it is zero. 16 bytes before it belong to it: the size is in the
 * first 8.
 */
#ifndef TEST_ARENA_H
#define TEST_ARENA_H

#include "os.h"

#include <stdlib.h>
#include <string.h>

#include "allocphase.h"

#define ARENA_BYTES ((size_t)64 << 20)
#define EXPORT __attribute__((visibility("default")))

static char *arena;
static size_t arena_used;

static inline const char *text_of(const struct allocphase_config *config, const char *key) {
  for (size_t i = 0; i < config->count; i++)
    if (strcmp(config->settings[i].key, key) == 0) return config->settings[i].value;
  return "";
}

static inline long number_of(const struct allocphase_config *config, const char *key) {
  return atol(text_of(config, key));
}

static inline int arena_init(const struct allocphase_config *config) {
  (void)config;
  arena = os_reserve(ARENA_BYTES);
  return arena ? 0 : ENOMEM;
}

static inline void arena_fini(void) { os_unmap(arena, ARENA_BYTES); }

static inline void *arena_aligned_alloc(size_t alignment, size_t size) {
  size_t start = (arena_used + 16 + alignment - 1) & ~(alignment - 1);
  if (size > ARENA_BYTES || start > ARENA_BYTES - size) return NULL;
  memcpy(arena + start - 16, &size, sizeof size);
  arena_used = (start + size + 15) & ~(size_t)15;
  return arena + start;
}

static inline void *arena_malloc(size_t size) { return arena_aligned_alloc(16, size); }

static inline void arena_free(void *block) { (void)block; }

static inline void *arena_calloc(size_t count, size_t size) {
  size_t bytes;
  return __builtin_mul_overflow(count, size, &bytes) ? NULL : arena_malloc(bytes);
}

static inline size_t arena_size(const void *block) {
  size_t size;
  memcpy(&size, (const char *)block - 16, sizeof size);
  return size;
}

static inline void *arena_realloc(void *old, size_t size) {
  void *block = arena_malloc(size);
  if (!old) return block;
  size_t kept = arena_size(old) < size ? arena_size(old) : size;
  return block ? memcpy(block, old, kept) : NULL;
}

#endif
