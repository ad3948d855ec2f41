/* lane.h: where a thread writes its events.
 *
 * A *lane* is a thread's end of its ring: where the next event goes, and how far it may write
 * before it has to look where the drainer is. Lanes lie in memory that a fork wipes, so that
 * the child's next event finds no room and begins a process of its own, however it was forked.
 * A thread that never wrote has a lane without room as well: the hot path asks one question.
 *
 *     lane_append(...)           no lock, no system call, no atomic read-modify-write
 *     lane_append_slowly(...)    room, a first lane, a forked process, what does not fit 32 bits
 *
 * Whoever interrupts a thread while it appends, a signal handler that is, finds it `busy` and
 * writes to the process's *shared lane*, under a lock, as do threads whose own lane has ended
 * and those that found no ring. Slow ways run with all signals blocked; errno stays as it is.
 */
#ifndef ALLOCPHASE_RECORDER_LANE_H
#define ALLOCPHASE_RECORDER_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/caller.h"
#include "recorder/event.h"

void lane_append_slowly(uint64_t name, uint64_t size, uint64_t extra, bool was_busy);

static inline void lane_write(struct event *event, uint64_t name, uint64_t value) {
  /* Drainers read what `head` says is there. */
  __atomic_store_n(&event->name, name, __ATOMIC_RELAXED);
  __atomic_store_n(&event->value, value, __ATOMIC_RELAXED);
}

/* `extra` 0: none. */
static inline void lane_append(uint64_t name, uint64_t size, uint64_t extra) {
  bool was_busy = caller.busy;
  if (__builtin_expect(was_busy, 0)) {
    lane_append_slowly(name, size, extra, true);
    return;
  }
  caller.busy = true;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  struct lane *lane = caller.lane;
  struct event *at = lane->at;
  uint64_t now = lane_ticks();
  uint64_t time = now - lane->time;
  size_t needed = extra == 0 ? 1 : 2;
  if (__builtin_expect((size_t)(lane->limit - at) < needed || (time | size) >> 32 != 0, 0)) {
    lane_append_slowly(name, size, extra, false);
  } else {
    if (extra != 0) lane_write(at++, KIND_EXTRA, extra);
    lane_write(at++, name, size << 32 | time);
    lane->at = at;
    lane->time = now;
    lane->count += needed;
    __atomic_store_n(lane->head, lane->count, __ATOMIC_RELEASE);
  }
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  caller.busy = false;
}

/* Once, before the first event: what a thread's end and a fork need. */
void lane_prepare(void);

/* The calling thread has a lane from here on, where that can be had. */
void lane_begin(void);

/* Its last event, and what comes later is for the shared lane. */
void lane_end(void);

/* Numbers for threads of this process. */
uint32_t lane_new_number(void);

#endif
