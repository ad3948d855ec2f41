/* rings.h: the drainer's end of a ring: whole events with their absolute times.
 *
 * What a thread has written is taken out of its ring at every look, into a *backlog* in memory of
 * our own: a thread that is faster than all that becomes of its events goes on meanwhile, and
 * waits once the backlogs together have reached their limit. From there on each has one block, as
 * often as it is read.
 *
 * What the program may have written over is held within bounds; where a ring cannot be as it
 * says, it is damaged, and the recording ends.
 */
#ifndef ALLOCPHASE_RECORDER_RINGS_H
#define ALLOCPHASE_RECORDER_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/arena.h"

#define RINGS_SOON 12 /* events ahead: of the hundred nanoseconds or two that a miss takes */
#define BLOCK_EVENTS ((size_t)1 << 12)

/* Of a backlog. */
struct block {
  struct block *next;
  size_t count;
  struct event events[BLOCK_EVENTS];
};

struct whole_event {
  uint64_t name, size, extra;
  uint64_t time; /* ticks of the arena's clock */
};

struct ring_end {
  struct ring *ring;
  const struct event *events;
  uint32_t thread; /* as it was when it was opened */
  uint64_t taken, limit; /* events taken out of it; and that were there at the last look */
  struct block *first, *last; /* the backlog; NULL: it is empty */
  const struct event *at, *block_end; /* what of the first block was not yet read */
  uint64_t time;
  uint64_t wide, extra; /* told by the event before */
  bool is_wide;
  bool holds; /* `event` was read and not yet used */
  bool waits; /* for an event of another ring that has to go before it */
  struct whole_event event;
};

enum ring_next { RING_EMPTY, RING_EVENT, RING_DAMAGED };

/* The most that backlogs have together, but for one block each. */
void rings_limit(size_t bytes);

void rings_open(struct ring_end *end, struct arena *arena, struct ring *ring);

/* What was not read is lost. */
void rings_close(struct ring_end *end);

/* Takes what the thread has written by now. False: damaged. */
bool rings_look(struct ring_end *end);

enum ring_next rings_read(struct ring_end *end);

/* The next event into `event`, which it holds until `rings_use`. */
static inline enum ring_next rings_next(struct ring_end *end) {
  return end->holds ? RING_EVENT : rings_read(end);
}

static inline void rings_use(struct ring_end *end) { end->holds = false; }

/* All that was there at the last look was used. */
static inline bool rings_are_used(const struct ring_end *end) {
  return !end->holds && end->first == NULL && end->taken == end->limit;
}

/* The address of an event that comes soon; 0: that is not known yet. */
static inline uint64_t rings_soon(const struct ring_end *end) {
  return end->block_end - end->at > RINGS_SOON ? event_address(end->at[RINGS_SOON].name) : 0;
}

/* Whether it has an event of one of these kinds (bits) at that address, until `time`. */
bool rings_have(struct ring_end *end, unsigned kinds, uint64_t address, uint64_t time);

static inline bool event_is(uint64_t name, unsigned kinds, uint64_t address) {
  return (kinds >> event_kind(name) & 1) != 0 && event_address(name) == address;
}

#endif
