/* arena.h: the memory that recorded processes and their drainer share.
 *
 *     head | processes | rings | the events of ring 0 | of ring 1 | ...
 *
 * One memfd of the drainer's, mapped whole by every process that is recorded, which opens it
 * under /proc by the name that ALLOCPHASE_RECORDER has, and closes it again: no descriptor of
 * the program's is taken, and no file is left behind. Pages are there once they are written.
 *
 * A *ring* is one thread's: it alone moves `head`, the drainer alone `tail`; both only grow. A
 * ring is taken (FREE to TAKEN) by who finds it, is LIVE once its other fields are written, and
 * ENDED when its thread writes no more; the drainer makes it FREE again. What a process has
 * written outlives it in whatever way it ends. A process takes its slot in the same way.
 *
 * The recorded program may write over all this. The drainer believes none of it: every number
 * is taken once and held within bounds.
 */
#ifndef ALLOCPHASE_RECORDER_ARENA_H
#define ALLOCPHASE_RECORDER_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/event.h"

#define ARENA_VARIABLE "ALLOCPHASE_RECORDER"
#define ARENA_MAGIC 0x31524352504c4c41u /* "ALLPRCR1" */

#define ARENA_RINGS 4096u
#define ARENA_RINGS_OF_THREADS 3840u /* the others are for the lanes that threads share */
#define ARENA_PROCESSES 4096u
#define MOST_THREADS (1u << 17) /* of one process, one after the other; as recorder/events.py */
#define RING_EVENTS ((size_t)1 << 18) /* 4 MiB: some 10 ms of the fastest program that was found */
#define ALLOCATOR_BYTES 512
#define COMMAND_BYTES 2048

enum slot_state { SLOT_FREE = 0, SLOT_TAKEN = 1, SLOT_LIVE = 2, SLOT_ENDED = 3 };
enum origin { ORIGIN_START = 0, ORIGIN_FORK = 1, ORIGIN_EXEC = 2 };
enum arena_clock { ARENA_TSC = 0, ARENA_CNTVCT = 1, ARENA_MONOTONIC = 2 };

/* Names an image of a process over the whole recording; 0: none. */
typedef uint64_t serial_t;

struct arena_process {
  uint32_t state;
  uint32_t origin;
  int32_t pid;
  int32_t parent_pid;
  serial_t serial;
  serial_t parent; /* of a fork */
  uint64_t fork;   /* which of the parent's */
  uint64_t start;  /* ticks */
  uint64_t pid_space; /* inode of its pid namespace */
  uint64_t unrecorded;
  uint32_t threads; /* numbers given so far */
  uint32_t command_bytes;
  char allocator[ALLOCATOR_BYTES];
  char command[COMMAND_BYTES]; /* arguments, each with its null byte */
};

struct ring {
  uint64_t head; /* events written */
  uint64_t padding_1[7];
  uint64_t tail; /* events taken */
  uint64_t padding_2[7];
  uint32_t state;
  uint32_t thread; /* its number in the process */
  uint32_t is_shared;
  int32_t tid;
  serial_t process;
  uint64_t birth; /* ticks: those that its first event counts from */
  uint64_t stalls;
  uint64_t stalled_ticks;
  uint64_t padding_3[2];
};

struct arena_head {
  uint64_t magic;
  uint32_t clock;
  uint32_t stopped; /* nobody begins, nobody waits */
  int32_t drainer;  /* its pid */
  uint32_t ring_limit, process_limit; /* no slot from here on was ever taken */
  uint32_t padding;
  uint64_t pid_space;
  uint64_t next_serial;
  uint64_t refused; /* processes that found no slot */
};

struct arena {
  union {
    struct arena_head head;
    char page[4096];
  };
  struct arena_process processes[ARENA_PROCESSES];
  struct ring rings[ARENA_RINGS];
};

_Static_assert(sizeof(struct ring) == 192, "its two ends and the rest lie in lines of their own");

#define ARENA_EVENTS_OFFSET ((sizeof(struct arena) + 4095) & ~(size_t)4095)
#define RING_BYTES (RING_EVENTS * sizeof(struct event))
#define ARENA_BYTES (ARENA_EVENTS_OFFSET + ARENA_RINGS * RING_BYTES)

static inline struct event *ring_events(struct arena *arena, size_t ring) {
  return (struct event *)((char *)arena + ARENA_EVENTS_OFFSET + ring * RING_BYTES);
}

#endif
