/* caller.h: what the recorder keeps of a thread, and the clock that it reads. */
#ifndef ALLOCPHASE_RECORDER_CALLER_H
#define ALLOCPHASE_RECORDER_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/event.h"
#include "recorder/ticks.h"

/* A thread's end of its ring: lane.h. */
struct lane {
  struct event *at, *limit;
  uint64_t time; /* of the event before whose time was read */
  uint64_t count;
  uint64_t *head; /* of the ring */
  struct ring *ring;
  uintptr_t reads_all; /* LINE_BYTES: until `limit` each event's time is read; or 0 */
  uint64_t padding;
};

_Static_assert(sizeof(struct lane) == 64, "a line each: threads do not disturb each other");

/* What a thread's next event may not overlook. With none of it malloc and free take their short
 * way, which has one question for all. */
enum hindrance {
  HINDERED_BUSY = 1u << 0,  /* between reading `lane->at` and moving it */
  HINDERED_APART = 1u << 1, /* no lane of its own, or one that each event takes longer with */
  HINDERED_ASKED = 1u << 2, /* `asked` has an entry */
  HINDERED_FREED = 1u << 3  /* `freed` has a block */
};

/* Of calls.h: a call whose allocation is not yet written. */
struct asked {
  size_t size, alignment;
  uintptr_t frame; /* of the call; what lies above it on the stack is over when it is */
  unsigned entry;  /* 0: none */
};

struct caller {
  struct lane *lane;
  volatile uint32_t hindrances;
  bool parted; /* its lane has ended */
  bool registered; /* has told of its end */
  uint32_t number;    /* given by its creator, plus 1; 0: none */
  uint64_t fork;      /* which one it is about to make */
  struct asked asked;
  uintptr_t freed;     /* a block whose free was written, plus 1; 0: none */
};

/* The lane of who has none: without room, and never written. */
extern struct lane caller_no_lane;

/* Initial-exec: to find a variable of another kind the linker may call malloc. */
extern _Thread_local struct caller caller __attribute__((tls_model("initial-exec")));

/* Signal handlers leave them as they were: no more than a store is needed. */
static inline void caller_hinder(unsigned hindrance, bool is_so) {
  caller.hindrances = (caller.hindrances & ~hindrance) | (is_so ? hindrance : 0);
}

static inline void caller_set_asked(const struct asked *asked) {
  caller.asked = *asked;
  caller_hinder(HINDERED_ASKED, asked->entry != 0);
}

static inline void caller_set_freed(uintptr_t freed) {
  caller.freed = freed;
  caller_hinder(HINDERED_FREED, freed != 0);
}

/* LANE_ALONE while the process has had one thread. */
enum lane_clock { LANE_ALONE, LANE_AMONG_THREADS, LANE_SYSTEM };

extern enum lane_clock lane_clock;

static inline enum lane_clock lane_clock_now(void) {
  return __atomic_load_n(&lane_clock, __ATOMIC_RELAXED);
}

static inline bool lane_has_counter(void) { return lane_clock_now() != LANE_SYSTEM; }

INLINED uint64_t lane_counter(void) {
  return lane_clock_now() == LANE_ALONE ? ticks_of_counter() : ticks_behind();
}

static inline uint64_t lane_ticks(void) {
  return lane_has_counter() ? lane_counter() : ticks_of_system();
}

#endif
