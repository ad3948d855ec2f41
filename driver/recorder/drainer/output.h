/* output.h: what the drainer says to `allocphase record`, on its standard output.
 *
 *     frame | payload | frame | payload | ...
 *
 * Numbers of the machine's own byte order; src/allocphase/recorder/frames.py has the same
 * structs. The payload of a chunk is what recorder/columns.py reads; of an image `image_frame`,
 * a `thread_frame` for each thread, the command with null bytes, the allocator; of the end
 * `end_frame`. An image is told when it is first seen, without its threads, and when it is over.
 */
#ifndef ALLOCPHASE_RECORDER_OUTPUT_H
#define ALLOCPHASE_RECORDER_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

enum frame_kind { FRAME_READY = 1, FRAME_CHUNK = 2, FRAME_IMAGE = 3, FRAME_END = 4 };
enum ended { ENDED_EXIT = 0, ENDED_EXEC = 1, ENDED_RUNNING = 2, ENDED_LIMIT = 3 };

struct frame {
  uint32_t kind;
  uint32_t bytes; /* of the payload */
  uint64_t process;
  uint32_t thread, count, births, padding;
  uint64_t first_birth, base_time;
};

#define COUNTED_KINDS 10 /* those of events.py */

struct image_frame {
  uint64_t counts[COUNTED_KINDS]; /* events by kind */
  uint64_t parent; /* plus 1; 0: none */
  uint64_t start;
  uint64_t started_ns;
  double ticks_per_second;
  double reading_ns; /* what one reading of the clock takes */
  uint64_t stalls, stalled_ns, ambiguous, unrecorded;
  int32_t pid;
  uint32_t origin, ended, clock;
  uint32_t threads, command_bytes, allocator_bytes, is_last;
};

#define NEVER UINT64_MAX

struct thread_frame {
  int32_t tid;
  uint32_t is_shared;
  uint64_t parent, joined_by; /* NEVER: nobody */
  uint64_t created, birth, end, joined; /* ticks, NEVER */
  uint64_t stalls;
};

struct end_frame {
  uint64_t images, refused, peak_rss_bytes, arena_bytes, cpu_ns;
};

/* What is set where nobody reads, so that nobody waits for us. */
extern uint32_t *output_stopped;

/* Until all of it is written; ends the process where nobody reads. */
void output(const void *data, size_t bytes);

#endif
