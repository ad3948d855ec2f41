/* rings.h: the drainer's end of a ring: whole events with their absolute times.
 *
 * What the program may have written over is held within bounds; where a ring cannot be as it
 * says, `rings_next` gives RING_DAMAGED, and the recording ends.
 */
#ifndef ALLOCPHASE_RECORDER_RINGS_H
#define ALLOCPHASE_RECORDER_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/arena.h"

/* Events ahead: of the hundred nanoseconds or two that a miss takes, and of as many again. */
#define RINGS_SOON 12
#define RINGS_LATER 64

struct whole_event {
  uint64_t name, size, extra;
  uint64_t time; /* ticks of the arena's clock */
};

struct ring_end {
  struct ring *ring;
  const struct event *events;
  uint32_t thread; /* as it was when it was opened */
  uint64_t taken, limit; /* events taken; and that were there at the last look */
  uint64_t time;
  uint64_t wide, extra; /* told by the event before */
  bool is_wide;
  bool holds; /* `event` was read and not yet used */
  bool waits; /* for an event of another ring that has to go before it */
  struct whole_event event;
};

enum ring_next { RING_EMPTY, RING_EVENT, RING_DAMAGED };

void rings_open(struct ring_end *end, struct arena *arena, struct ring *ring);

/* Looks how far the thread has come. False: damaged. */
bool rings_look(struct ring_end *end);

enum ring_next rings_read(struct ring_end *end);

/* The next event into `event`, which it holds until `rings_use`. */
static inline enum ring_next rings_next(struct ring_end *end) {
  if (end->holds) return RING_EVENT;
  return end->taken == end->limit ? RING_EMPTY : rings_read(end);
}

static inline void rings_use(struct ring_end *end) { end->holds = false; }

/* The address of an event that comes soon; 0: that is not known yet. */
static inline uint64_t rings_soon(const struct ring_end *end) {
  if (end->limit - end->taken <= RINGS_SOON) return 0;
  const struct event *event = &end->events[(end->taken + RINGS_SOON) % RING_EVENTS];
  return event_address(__atomic_load_n(&event->name, __ATOMIC_RELAXED));
}

/* The lines of the ring are in the cache of whoever writes it, and are asked for sooner still; not
 * while they are written. */
static inline void rings_expect(const struct ring_end *end) {
  if (end->limit - end->taken > RINGS_LATER)
    __builtin_prefetch(&end->events[(end->taken + RINGS_LATER) % RING_EVENTS]);
}

/* Whether it has an event of one of these kinds (bits) at that address, until `time`. */
bool rings_have(const struct ring_end *end, unsigned kinds, uint64_t address, uint64_t time);

static inline bool event_is(uint64_t name, unsigned kinds, uint64_t address) {
  return (kinds >> event_kind(name) & 1) != 0 && event_address(name) == address;
}

/* What was taken may be written over. */
static inline void rings_give_back(const struct ring_end *end) {
  __atomic_store_n(&end->ring->tail, end->taken, __ATOMIC_RELEASE);
}

#endif
