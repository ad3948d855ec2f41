/* blocks.h: a whole malloc, from what a plug-in has of it.
 *
 * A plug-in may lack everything but malloc and free. calloc follows from malloc; realloc from
 * malloc, free and the block's size; the driver, which has the trace, knows sizes, and
 * remembers what an aligned block lies in. Here nobody does: of a plug-in without usable_size
 * or aligned_alloc each block gets a *frame*, 16 bytes before it.
 *
 *     | whole block of the plug-in                      |
 *     |  unused, for an alignment | frame | the block   |
 *
 * A framed plug-in is asked for blocks by malloc alone. What it costs is in its time and
 * memory, and allocphase_malloc_describe says that it is so.
 *
 * Call these within served_enter and served_leave. No block where there is no memory: NULL.
 */
#ifndef ALLOCPHASE_PRELOAD_BLOCKS_H
#define ALLOCPHASE_PRELOAD_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "allocphase.h"
#include "base/text.h"
#include "preload/served.h"

/* What every block of malloc's is aligned to. */
#define BLOCK_ALIGNMENT ((size_t)16)

/* Alignments: powers of two, or 0 for that of malloc. A block of no bytes is a block, as it is of
 * glibc's. */
void *blocks_new_slowly(size_t alignment, size_t size);

static inline void *blocks_new(size_t alignment, size_t size) {
  if (alignment == 0 && size > 0 && !served.framed) return served.table.malloc(size);
  return blocks_new_slowly(alignment, size);
}

void *blocks_new_zeroed(size_t count, size_t size);
void *blocks_resize(void *block, size_t size);
size_t blocks_usable_size(const void *block);
void blocks_free_framed(void *block);

static inline void blocks_free(void *block) {
  if (!served.framed) served.table.free(block);
  else blocks_free_framed(block);
}

/* What is not the plug-in's own: "calloc,realloc", or nothing. */
void blocks_add_emulated(struct text *text);

#endif
