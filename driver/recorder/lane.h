/* lane.h: where a thread writes its events.
 *
 * A *lane* is a thread's end of its ring: where the next event goes, and how far it may write
 * before it has to look where the drainer is. Lanes lie in memory that a fork wipes, so that
 * the child's next event finds no room and begins a process of its own, however it was forked.
 * A thread that never wrote has a lane without room as well.
 *
 *     lane_try(...)       where nothing hinders the caller: no lock, no system call, no atomic
 *                         read-modify-write
 *     lane_append(...)    that, or else whatever it takes: room, a first lane, a forked process,
 *                         what does not fit 32 bits
 *
 * Whoever interrupts a thread while it appends, a signal handler that is, finds it `busy` and
 * writes to the process's *shared lane*, under a lock, as do threads whose own lane has ended
 * and those that found no ring. Slow ways run with all signals blocked; errno stays as it is.
 */
#ifndef ALLOCPHASE_RECORDER_LANE_H
#define ALLOCPHASE_RECORDER_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/arena.h"
#include "recorder/caller.h"
#include "recorder/event.h"

#define LINE_BYTES 64 /* of the cache; events of a ring begin with one */

static inline void lane_write(struct event *event, uint64_t name, uint64_t value) {
  /* Drainers read what `head` says is there. */
  __atomic_store_n(&event->name, name, __ATOMIC_RELAXED);
  __atomic_store_n(&event->value, value, __ATOMIC_RELAXED);
}

/* Whether a clock is read for an event. That is most of what an event costs: while the process has
 * one lane, of allocations and frees only the last one of each line of the cache has it, and those
 * that go to the ring's beginning, from which it is learnt how long calls take. Between lanes their
 * order hangs on it; and how long a realloc takes nothing else says. */
#define EVENTS_READ_ALL ((size_t)1 << 12)

INLINED bool lane_reads_time(const struct lane *lane, uint64_t name, const struct event *from,
                             const struct event *to) {
  uintptr_t crossed = ((uintptr_t)from ^ (uintptr_t)to) | lane->reads_all;
  return (crossed & LINE_BYTES) != 0 || event_kind(name) > KIND_FREE ||
         lane_clock_now() != LANE_ALONE;
}

/* False: there is no room, or it does not fit 32 bits. */
INLINED bool lane_put(struct lane *lane, uint64_t name, uint64_t size, uint64_t extra,
                      uint64_t (*ticks)(void)) {
  struct event *at = lane->at;
  size_t needed = extra == 0 ? 1 : 2;
  if (__builtin_expect((size_t)(lane->limit - at) < needed || size >> 32 != 0, 0)) return false;
  uint64_t time = TIME_UNREAD;
  if (lane_reads_time(lane, name, at, at + needed)) {
    uint64_t now = ticks();
    time = now - lane->time;
    if (__builtin_expect(time >= TIME_UNREAD, 0)) return false;
    lane->time = now;
  }
  if (extra != 0) lane_write(at++, KIND_EXTRA, extra);
  lane_write(at++, name, size << 32 | time);
  lane->at = at;
  lane->count += needed;
  __atomic_store_n(lane->head, lane->count, __ATOMIC_RELEASE);
  return true;
}

/* Of a thread that nothing hinders. `extra` 0: none. False: it was not written, and is to be
 * appended. This calls nobody: who does nothing else, or does it by its last call, keeps nothing
 * on the stack. */
INLINED bool lane_try(uint64_t name, uint64_t size, uint64_t extra) {
  caller.hindrances = HINDERED_BUSY;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  bool is_written = lane_put(caller.lane, name, size, extra, lane_counter);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  caller.hindrances = 0;
  return is_written;
}

void lane_append(uint64_t name, uint64_t size, uint64_t extra);

/* Once, before the first event: what a thread's end and a fork need. */
void lane_prepare(void);

/* The calling thread has a lane from here on, where that can be had. */
void lane_begin(void);

/* Its last event, and what comes later is for the shared lane. */
void lane_end(void);

/* Numbers for threads of this process. */
uint32_t lane_new_number(void);

#endif
