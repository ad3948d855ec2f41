#include "recorder/lane.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/lock.h"
#include "preload/bootstrap.h"
#include "recorder/image.h"
#include "recorder/next.h"

static pthread_key_t ends_key;

/* ---- Room ------------------------------------------------------------------------------- */

#define PAUSE_NS 50000
#define PAUSES_BETWEEN_LOOKS 200 /* after whether the drainer still lives */

/* Whoever reads this process's events is gone, and nobody has told us. */
static void stop_without_drainer(void) {
  struct arena_head *head = &image_arena->head;
  bool same_space = image_own->slot != NULL && image_own->slot->pid_space == head->pid_space;
  if (same_space && kill(head->drainer, 0) != 0 && errno == ESRCH)
    __atomic_store_n(&head->stopped, 1, __ATOMIC_RELAXED);
}

static size_t room_of(const struct lane *lane) {
  uint64_t used = lane->count - __atomic_load_n(&lane->ring->tail, __ATOMIC_ACQUIRE);
  return used < RING_EVENTS ? RING_EVENTS - used : 0;
}

/* Until the drainer has made room. 0: the recording is over. */
static size_t wait_for_room(struct lane *lane) {
  struct ring *ring = lane->ring;
  uint64_t start = lane_ticks();
  size_t room;
  ring->stalls++;
  for (unsigned pauses = 1; (room = room_of(lane)) == 0 && !image_is_stopped(); pauses++) {
    struct timespec pause = {.tv_nsec = PAUSE_NS};
    nanosleep(&pause, NULL);
    if (pauses % PAUSES_BETWEEN_LOOKS == 0) stop_without_drainer();
  }
  ring->stalled_ticks += lane_ticks() - start;
  return room;
}

/* False: the recording is over, and the lane without room for good. */
static bool make_room(struct lane *lane) {
  size_t room = room_of(lane);
  if (room == 0) room = wait_for_room(lane);
  size_t place = lane->count % RING_EVENTS;
  bool reads_all = place < EVENTS_READ_ALL;
  size_t to_end = (reads_all ? EVENTS_READ_ALL : RING_EVENTS) - place;
  lane->reads_all = reads_all ? LINE_BYTES : 0;
  lane->at = ring_events(image_arena, (size_t)(lane->ring - image_arena->rings)) + place;
  lane->limit = lane->at + (room < to_end ? room : to_end);
  return room > 0;
}

static bool put(struct lane *lane, uint64_t name, uint64_t value) {
  if (lane->at == lane->limit && !make_room(lane)) return false;
  lane_write(lane->at++, name, value);
  __atomic_store_n(lane->head, ++lane->count, __ATOMIC_RELEASE);
  return true;
}

static void append(struct lane *lane, uint64_t name, uint64_t size, uint64_t extra) {
  if (extra != 0 && !put(lane, KIND_EXTRA, extra)) return;
  if (size >> 32 != 0 && !put(lane, KIND_WIDE, size)) return;
  uint64_t now = lane_ticks();
  uint64_t time = now - lane->time;
  if (time >= TIME_UNREAD) {
    if (!put(lane, KIND_TIME, now)) return;
    time = 0;
  }
  lane->time = now;
  put(lane, name, size << 32 | time);
}

/* ---- Lanes ------------------------------------------------------------------------------- */

static bool lane_open(struct lane *lane, struct ring *ring) {
  if (ring == NULL) return false;
  *lane = (struct lane){.ring = ring, .head = &ring->head, .time = ring->birth};
  return true;
}

/* For the destructors of the thread: ours is the last to run. */
static void register_end(void) {
  if (caller.registered) return;
  caller.registered = true;
  pthread_setspecific(ends_key, (void *)1);
}

/* The last number that there is, of whoever has none of its own. */
#define SHARED_AT_LAST (MOST_THREADS - 1)

static uint32_t shared_number(void) {
  uint32_t number = lane_new_number();
  return number < SHARED_AT_LAST ? number : SHARED_AT_LAST;
}

/* By the short way nobody is asked what was touched, and a clock is no call. */
static bool has_short_way(void) { return next.touched_bytes == NULL && lane_has_counter(); }

/* The calling thread's own, NULL where there is none for it. */
static struct lane *own_lane(void) {
  if (caller.parted) return NULL;
  if (caller.lane->ring != NULL) return caller.lane;
  uint32_t number = caller.number != 0 ? caller.number - 1 : lane_new_number();
  caller.number = 0; /* a fork's one thread is another than it was in the parent */
  if (number >= SHARED_AT_LAST) return NULL;
  struct ring *ring = image_take_ring(number, false, lane_ticks());
  if (ring == NULL) return NULL;
  struct lane *lane = &image_own->lanes[ring - image_arena->rings];
  lane_open(lane, ring);
  caller.lane = lane;
  caller_hinder(HINDERED_APART, !has_short_way());
  register_end();
  return lane;
}

/* With its lock, on which nobody waits for long but for a full ring. */
static void append_shared(uint64_t name, uint64_t size, uint64_t extra) {
  struct own *own = image_own;
  lock_take(&own->lock);
  struct lane *lane = &own->shared;
  if (lane->ring == NULL) lane_open(lane, image_take_ring(shared_number(), true, lane_ticks()));
  if (lane->ring != NULL) append(lane, name, size, extra);
  lock_drop(&own->lock);
}

uint32_t lane_new_number(void) {
  struct arena_process *slot = image_own->slot;
  if (slot == NULL) return 0;
  uint32_t number = __atomic_fetch_add(&slot->threads, 1, __ATOMIC_RELAXED);
  enum lane_clock alone = LANE_ALONE;
  if (number > 0)
    __atomic_compare_exchange_n(&lane_clock, &alone, LANE_AMONG_THREADS, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
  return number;
}

/* ---- What the hot path leaves ------------------------------------------------------------- */

struct quiet {
  int error;
  sigset_t mask;
};

static struct quiet be_quiet(void) {
  struct quiet quiet = {.error = errno};
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &quiet.mask);
  return quiet;
}

static void be_as_before(const struct quiet *quiet) {
  pthread_sigmask(SIG_SETMASK, &quiet->mask, NULL);
  errno = quiet->error;
}

static void append_slowly(uint64_t name, uint64_t size, uint64_t extra, bool was_busy) {
  if (image_arena == NULL || image_is_stopped()) return;
  struct quiet quiet = be_quiet();
  if (image_begin()) {
    struct lane *lane = was_busy ? NULL : own_lane();
    if (lane != NULL) append(lane, name, size, extra);
    else append_shared(name, size, extra);
  }
  be_as_before(&quiet);
}

/* Until `be_busy_as_before`, which is to be told what this returns: whether the caller was. */
static bool become_busy(void) {
  bool was_busy = (caller.hindrances & HINDERED_BUSY) != 0;
  caller_hinder(HINDERED_BUSY, true);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  return was_busy;
}

static void be_busy_as_before(bool was_busy) {
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  caller_hinder(HINDERED_BUSY, was_busy);
}

void lane_append(uint64_t name, uint64_t size, uint64_t extra) {
  bool was_busy = become_busy();
  if (was_busy || !lane_put(caller.lane, name, size, extra, lane_ticks))
    append_slowly(name, size, extra, was_busy);
  be_busy_as_before(was_busy);
}

void lane_begin(void) {
  if (image_arena == NULL || image_is_stopped()) return;
  struct quiet quiet = be_quiet();
  bool was_busy = become_busy();
  if (!was_busy && image_begin()) own_lane();
  be_busy_as_before(was_busy);
  be_as_before(&quiet);
}

void lane_end(void) {
  if (image_arena == NULL) return;
  lane_append(event_name(KIND_NOTE, NOTE_END, 0, 0), 0, 0);
  struct quiet quiet = be_quiet();
  struct ring *ring = caller.lane->ring;
  caller.lane = &caller_no_lane;
  caller.parted = true;
  caller_hinder(HINDERED_APART, true);
  if (ring != NULL) __atomic_store_n(&ring->state, SLOT_ENDED, __ATOMIC_RELEASE);
  be_as_before(&quiet);
}

/* ---- Ends and forks ------------------------------------------------------------------------ */

/* The last one that there is, of PTHREAD_DESTRUCTOR_ITERATIONS. The thread sanitizer's own state
 * goes away in that one: its tests take an earlier round. */
#ifndef LANE_LAST_ROUND
#define LANE_LAST_ROUND PTHREAD_DESTRUCTOR_ITERATIONS
#endif

/* Other destructors of the thread may still free: this one asks to be called in each round. */
static void end_round(void *value) {
  uintptr_t round = (uintptr_t)value;
  if (round < LANE_LAST_ROUND) pthread_setspecific(ends_key, (void *)(round + 1));
  else lane_end();
}

static void before_fork(void) {
  static uint64_t forks;
  caller.fork = __atomic_add_fetch(&forks, 1, __ATOMIC_RELAXED);
  lane_append(event_name(KIND_NOTE, NOTE_FORK, 0, caller.fork), 0, 0);
  bootstrap_before_fork();
}

static void after_fork(void) { bootstrap_after_fork(); }

/* The child takes its slot now, though its first event would do so too: the drainer then knows
 * which of the parent's forks it was. */
static void after_fork_in_child(void) {
  bootstrap_after_fork();
  caller.number = 0;
  lane_begin();
}

void lane_prepare(void) {
  pthread_key_create(&ends_key, end_round);
  pthread_atfork(before_fork, after_fork, after_fork_in_child);
}
