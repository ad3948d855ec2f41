#include "preload/blocks.h"

#include <stdint.h>
#include <string.h>

struct frame {
  void *whole;
  size_t size;
};

_Static_assert(sizeof(struct frame) == BLOCK_ALIGNMENT, "a block is aligned as its frame is");

static const struct allocphase_allocator *const plugin = &served.table;

static struct frame *frame_of(const void *block) { return (struct frame *)(uintptr_t)block - 1; }

/* ---- Framed blocks ---------------------------------------------------------------------- */

static void *framed_new(size_t alignment, size_t size) {
  size_t slack = alignment > BLOCK_ALIGNMENT ? alignment : 0, bytes;
  if (__builtin_add_overflow(size, sizeof(struct frame) + slack, &bytes)) return NULL;
  char *whole = plugin->malloc(bytes);
  if (whole == NULL) return NULL;
  char *block = whole + sizeof(struct frame);
  if (slack > 0) block += -(uintptr_t)block & (alignment - 1);
  *frame_of(block) = (struct frame){.whole = whole, .size = size};
  return block;
}

/* ---- Blocks of either kind ---------------------------------------------------------------- */

/* A plug-in's malloc of up to 8 bytes need not be aligned to more than 8. */
static void *new_by_table(size_t alignment, size_t size) {
  if (alignment > BLOCK_ALIGNMENT) return plugin->aligned_alloc(alignment, size);
  return plugin->malloc(alignment == BLOCK_ALIGNMENT && size <= 8 ? BLOCK_ALIGNMENT : size);
}

void *blocks_new_slowly(size_t alignment, size_t size) {
  if (served.framed) return framed_new(alignment, size);
  void *block = new_by_table(alignment, size);
  return block != NULL || size > 0 ? block : new_by_table(alignment, 1);
}

void *blocks_new_zeroed(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
  if (plugin->calloc != NULL && !served.framed && bytes > 0) return plugin->calloc(count, size);
  void *block = blocks_new(0, bytes);
  return block == NULL ? NULL : memset(block, 0, bytes);
}

static void *resize_by_copying(void *block, size_t size) {
  size_t had = blocks_usable_size(block);
  void *moved = blocks_new(0, size);
  if (moved == NULL) return NULL;
  memcpy(moved, block, had < size ? had : size);
  blocks_free(block);
  return moved;
}

void *blocks_resize(void *block, size_t size) {
  if (plugin->realloc != NULL && !served.framed) return plugin->realloc(block, size);
  return resize_by_copying(block, size);
}

size_t blocks_usable_size(const void *block) {
  return served.framed ? frame_of(block)->size : plugin->usable_size(block);
}

void blocks_free_framed(void *block) { plugin->free(frame_of(block)->whole); }

void blocks_add_emulated(struct text *text) {
  const char *const names[] = {
      plugin->calloc == NULL || served.framed ? "calloc" : NULL,
      plugin->realloc == NULL || served.framed ? "realloc" : NULL,
      served.framed ? "aligned_alloc" : NULL,
      served.framed ? "usable_size" : NULL,
  };
  const char *separator = "";
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (names[i] == NULL) continue;
    text_add(text, separator);
    text_add(text, names[i]);
    separator = ",";
  }
}
