/* image.h: this process, from its start or from an exec, in the arena.
 *
 * It has a slot there, and memory of its own that a fork wipes (`own`): who finds that empty is
 * the child, and takes a slot for itself, as who has just been started.
 */
#ifndef ALLOCPHASE_RECORDER_IMAGE_H
#define ALLOCPHASE_RECORDER_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/arena.h"
#include "recorder/caller.h"

/* Wiped by a fork. */
struct own {
  struct arena_process *slot; /* NULL: not yet, or not any more */
  serial_t serial;
  uint32_t lock; /* of the shared lane, and of taking a slot */
  uint32_t known_lock; /* of threads.c */
  uint32_t refused; /* no slot was free */
  struct lane shared;
  struct lane lanes[ARENA_RINGS];
};

extern struct arena *image_arena; /* NULL: this process is not recorded */
extern struct own *image_own;

/* Finds the arena. Once, before anything else; false: there is none for this process. */
bool image_open(void);

/* Takes a slot where there is none; false: nothing can be recorded. With signals blocked. */
bool image_begin(void);

/* A ring of this process for a thread, or NULL; with signals blocked. */
struct ring *image_take_ring(uint32_t thread, bool is_shared, uint64_t birth);

static inline bool image_is_stopped(void) {
  return __atomic_load_n(&image_arena->head.stopped, __ATOMIC_RELAXED) != 0;
}

#endif
