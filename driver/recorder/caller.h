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
  uint64_t time; /* of the event before */
  uint64_t count;
  uint64_t *head; /* of the ring */
  struct ring *ring;
  uint64_t padding[2];
};

_Static_assert(sizeof(struct lane) == 64, "a line each: threads do not disturb each other");

/* Of calls.h: a call whose allocation is not yet written. */
struct asked {
  size_t size, alignment;
  uintptr_t frame; /* of the call; what lies above it on the stack is over when it is */
  unsigned entry;  /* 0: none */
};

struct caller {
  struct lane *lane;
  volatile bool busy; /* between reading `lane->at` and moving it */
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

/* LANE_ALONE while the process has had one thread. */
enum lane_clock { LANE_ALONE, LANE_AMONG_THREADS, LANE_SYSTEM };

extern enum lane_clock lane_clock;

static inline enum lane_clock lane_clock_now(void) {
  return __atomic_load_n(&lane_clock, __ATOMIC_RELAXED);
}

static inline bool lane_has_counter(void) { return lane_clock_now() != LANE_SYSTEM; }

static inline uint64_t lane_counter(void) {
  return lane_clock_now() == LANE_ALONE ? ticks_of_counter() : ticks_behind();
}

static inline uint64_t lane_ticks(void) {
  return lane_has_counter() ? lane_counter() : ticks_of_system();
}

#endif
