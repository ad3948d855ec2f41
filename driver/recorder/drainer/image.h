/* image.h: one process, from its start or an exec to its end or the next one. */
#ifndef ALLOCPHASE_RECORDER_DRAINER_IMAGE_H
#define ALLOCPHASE_RECORDER_DRAINER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/arena.h"
#include "recorder/drainer/columns.h"
#include "recorder/drainer/objects.h"
#include "recorder/drainer/output.h"
#include "recorder/drainer/rings.h"

#define RESIZED 64              /* reallocs that are between their begin and their end */
#define MOST_COPIES 64          /* of forks whose child did not come forward */

/* How raw ticks become those of the recording. */
struct time_scale {
  uint64_t zero;
  unsigned shift;
  uint32_t clock; /* enum arena_clock */
  uint64_t started_ns;
  uint64_t microsecond; /* raw ticks */
  double reading_ns;    /* what one reading takes */
  uint64_t (*ticks)(void);
};

extern struct time_scale image_scale;

/* Ticks of the recording. */
static inline uint64_t scaled(uint64_t ticks) {
  return ticks > image_scale.zero ? (ticks - image_scale.zero) >> image_scale.shift : 0;
}

/* Of a thread that may still write. */
struct writing {
  struct columns columns;
  struct object resized[RESIZED];
  unsigned resized_count; /* so far: the place of the next one, modulo RESIZED */
};

struct thread {
  struct thread_frame told;
  uint64_t births;
  struct writing *writing; /* NULL: nothing that was not told */
};

struct fork_copy {
  uint64_t fork;
  struct objects objects;
};

struct image {
  struct arena_process *slot; /* NULL: given back */
  struct image_frame told;
  serial_t serial, parent;
  uint64_t number;
  uint64_t fork, start; /* raw ticks */
  int pidfd;
  bool ended, has_inherited;
  bool is_behind; /* it has events from before the last look */
  struct objects objects;
  struct objects inherited;
  struct thread **threads;
  uint32_t thread_count;
  struct fork_copy copies[MOST_COPIES];
  unsigned copy_count; /* so far, as resized_count */
  char *command, *allocator;
  struct ring_end **ends; /* of its rings, in this pass */
  size_t end_count, end_capacity;
};

/* By its number in the process; made where it is not there. NULL: none has such a number. */
struct thread *image_thread(struct image *image, uint64_t number);

void image_begin_writing(struct thread *thread);

/* What `allocphase record` is to know by now: the events of a thread since the last time, and those
 * of one that writes no more; and the image, without its threads before it is over. */
void image_tell_chunk(struct image *image, uint32_t number);
void image_end_writing(struct image *image, uint32_t number);
void image_tell(const struct image *image, double ticks_per_second, bool is_last);

#endif
