#include "recorder/drainer/images.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "recorder/drainer/columns.h"
#include "recorder/drainer/memory.h"
#include "recorder/drainer/merge.h"
#include "recorder/drainer/objects.h"
#include "recorder/drainer/rings.h"

static struct arena *arena;
static struct image **images; /* in the order in which they began */
static size_t image_count, image_capacity;
static struct ring_end *ends[ARENA_RINGS]; /* NULL: a ring of nobody's */
static struct image *owners[ARENA_RINGS];
static double hertz;
static bool is_damaged;

size_t images_count(void) { return image_count; }

void images_open(struct arena *opened, const struct time_scale *given) {
  arena = opened;
  image_scale = *given;
}

#define EVENTS_TO_KEEP 8192 /* of a ring: the next thread finds their pages */

/* Its thread writes no more, and the ring is anybody's again. */
static void give_ring(size_t index) {
  struct ring_end *end = ends[index];
  struct image_frame *told = &owners[index]->told;
  image_end_writing(owners[index], end->thread);
  owners[index]->threads[end->thread]->told.stalls += end->ring->stalls;
  told->stalls += end->ring->stalls;
  told->stalled_ns += end->ring->stalled_ticks; /* ticks until they are told */
  rings_close(end);
  if (end->taken > EVENTS_TO_KEEP)
    madvise((void *)(uintptr_t)end->events, RING_BYTES, MADV_REMOVE);
  end->ring->head = end->ring->tail = 0;
  free(end);
  ends[index] = NULL;
  owners[index] = NULL;
  __atomic_store_n(&arena->rings[index].state, SLOT_FREE, __ATOMIC_RELEASE);
}

static uint32_t length_of(const char *text, uint32_t most) {
  return (uint32_t)strnlen(text, most);
}

/* ---- Who there is -------------------------------------------------------------------------- */

static struct image *image_with(serial_t serial) {
  for (size_t i = image_count; i-- > 0;)
    if (images[i]->serial == serial) return images[i];
  return NULL;
}

/* It may have ended, but nobody can have its number since: it was not yet told. */
static struct image *open_with_pid(int32_t pid) {
  for (size_t i = image_count; i-- > 0;)
    if (images[i]->slot != NULL && images[i]->told.pid == pid) return images[i];
  return NULL;
}

static char *copy_of(const char *text, size_t bytes) {
  char *copy = memory_new(bytes + 1);
  memcpy(copy, text, bytes);
  return copy;
}

static void know_parent(struct image *image, int32_t parent_pid) {
  struct image *same = open_with_pid(image->told.pid);
  struct image *parent = image->told.origin == ORIGIN_FORK ? image_with(image->parent) : NULL;
  if (same != NULL && image->told.origin != ORIGIN_FORK) {
    same->told.ended = ENDED_EXEC;
    same->ended = true;
    parent = same;
  }
  if (parent == NULL) parent = open_with_pid(parent_pid);
  image->told.parent = parent == NULL ? 0 : parent->number + 1;
  if (image->told.origin == ORIGIN_FORK && parent != NULL) {
    free(image->allocator);
    image->allocator = copy_of(parent->allocator, strlen(parent->allocator));
  }
  if (parent == NULL && image->number == 0) image->told.origin = ORIGIN_START;
}

static int pidfd_of(const struct arena_process *slot, bool *is_gone) {
  *is_gone = false;
  if (slot->pid_space != arena->head.pid_space) return -1; /* its number means another one here */
  int fd = (int)syscall(SYS_pidfd_open, slot->pid, 0);
  *is_gone = fd < 0 && kill(slot->pid, 0) != 0;
  return fd;
}

static void welcome(struct arena_process *slot) {
  struct image *image = memory_new(sizeof *image);
  bool is_gone;
  uint32_t bytes = slot->command_bytes;
  image->slot = slot;
  image->serial = slot->serial;
  image->parent = slot->parent;
  image->number = image_count;
  image->fork = slot->fork;
  image->start = slot->start;
  image->told.pid = slot->pid;
  image->told.origin = slot->origin == ORIGIN_FORK ? ORIGIN_FORK : ORIGIN_EXEC;
  image->told.clock = image_scale.clock;
  image->told.start = scaled(slot->start);
  image->told.started_ns = image_scale.started_ns;
  image->told.unrecorded = slot->unrecorded;
  image->told.command_bytes = bytes < COMMAND_BYTES ? bytes : COMMAND_BYTES;
  image->command = copy_of(slot->command, image->told.command_bytes);
  image->allocator = copy_of(slot->allocator, length_of(slot->allocator, ALLOCATOR_BYTES));
  image->has_inherited = image->told.origin != ORIGIN_FORK;
  know_parent(image, slot->parent_pid);
  image->pidfd = pidfd_of(slot, &is_gone);
  image->ended |= is_gone;
  if (image_count == image_capacity) {
    image_capacity = image_capacity == 0 ? 64 : image_capacity * 2;
    images = memory_resize(images, image_capacity * sizeof(struct image *));
  }
  images[image_count++] = image;
  image_tell(image, hertz, false);
}

static int by_start(const void *one, const void *other) {
  const struct arena_process *a = *(struct arena_process *const *)one;
  const struct arena_process *b = *(struct arena_process *const *)other;
  return a->serial < b->serial ? -1 : a->serial > b->serial;
}

static bool is_known(const struct arena_process *slot) {
  for (size_t i = image_count; i-- > 0;)
    if (images[i]->slot == slot) return true;
  return false;
}

/* Parents before their children: a child takes its serial after its parent. */
static void look_for_images(void) {
  static struct arena_process *found[ARENA_PROCESSES];
  size_t count = 0;
  uint32_t limit = __atomic_load_n(&arena->head.process_limit, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < limit && i < ARENA_PROCESSES; i++) {
    struct arena_process *slot = &arena->processes[i];
    if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == SLOT_LIVE && !is_known(slot))
      found[count++] = slot;
  }
  qsort(found, count, sizeof *found, by_start);
  for (size_t i = 0; i < count; i++) welcome(found[i]);
}

void images_look_for_ends(void) {
  for (size_t i = 0; i < image_count; i++) {
    struct image *image = images[i];
    struct pollfd look = {.fd = image->pidfd, .events = POLLIN};
    if (!image->ended && image->pidfd >= 0 && poll(&look, 1, 0) == 1) image->ended = true;
  }
}

static void add_end(struct image *image, struct ring_end *end) {
  if (image->end_count == image->end_capacity) {
    image->end_capacity = image->end_capacity == 0 ? 8 : image->end_capacity * 2;
    image->ends = memory_resize(image->ends, image->end_capacity * sizeof(struct ring_end *));
  }
  image->ends[image->end_count++] = end;
}

static void open_ring(size_t index) {
  struct ring *ring = &arena->rings[index];
  uint32_t number = ring->thread;
  struct image *image = image_with(ring->process);
  if (image == NULL || image->slot == NULL) return; /* of one that is not welcomed yet */
  struct thread *thread = image_thread(image, number);
  if (thread == NULL) return;
  ends[index] = memory_new(sizeof *ends[index]);
  owners[index] = image;
  rings_open(ends[index], arena, ring);
  ends[index]->thread = number;
  thread->told.tid = ring->tid;
  thread->told.is_shared = ring->is_shared != 0;
  thread->told.birth = scaled(ring->birth);
}

/* What each thread has written by now; without `looks`, by the last look. */
static void list_rings(bool *is_over, bool looks) {
  uint32_t limit = __atomic_load_n(&arena->head.ring_limit, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < limit && i < ARENA_RINGS; i++) {
    uint32_t state = __atomic_load_n(&arena->rings[i].state, __ATOMIC_ACQUIRE);
    is_over[i] = state == SLOT_ENDED;
    if (state != SLOT_LIVE && state != SLOT_ENDED) continue;
    if (ends[i] == NULL && looks) open_ring(i);
    if (ends[i] == NULL) continue;
    if (looks && !rings_look(ends[i])) is_damaged = true;
    add_end(owners[i], ends[i]);
  }
}

/* ---- Ends ---------------------------------------------------------------------------------- */

static void close_image(struct image *image) {
  for (size_t i = 0; i < ARENA_RINGS; i++)
    if (owners[i] == image) give_ring(i);
  image_tell(image, hertz, true);
  for (uint32_t i = 0; i < image->thread_count; i++) free(image->threads[i]);
  objects_drop(&image->objects);
  objects_drop(&image->inherited);
  free(image->threads);
  free(image->ends);
  image->threads = NULL;
  image->ends = NULL;
  image->thread_count = 0;
  image->end_count = image->end_capacity = 0;
  if (image->pidfd >= 0) close(image->pidfd);
  image->pidfd = -1;
  __atomic_store_n(&image->slot->state, SLOT_FREE, __ATOMIC_RELEASE);
  image->slot = NULL;
}

/* Of threads that write no more, and whose last event was taken. */
static void give_ended_rings(const bool *is_over) {
  for (size_t i = 0; i < ARENA_RINGS; i++) {
    struct ring_end *end = ends[i];
    if (end != NULL && is_over[i] && rings_are_used(end)) give_ring(i);
  }
}

/* The copy that its parent made for it, before any of its own events is looked at. False: it may
 * still come. */
static bool adopt(struct image *image) {
  if (image->has_inherited || image->inherited.count != 0) return true;
  struct image *parent = image_with(image->parent);
  if (parent == NULL) return true;
  for (size_t i = 0; i < MOST_COPIES; i++) {
    struct fork_copy *copy = &parent->copies[i];
    if (copy->fork != image->fork || copy->objects.count == 0) continue;
    image->inherited = copy->objects;
    *copy = (struct fork_copy){0};
    return true;
  }
  return !parent->is_behind;
}

/* Whether it has events from before the last look then. */
static bool pass_image(struct image *image, uint64_t now) {
  if (!adopt(image)) return true;
  enum merged merged = merge(image, image->ended ? UINT64_MAX : now);
  if (merged == MERGE_DAMAGED) is_damaged = true;
  return merged != MERGED_ALL;
}

enum pass images_pass(double ticks_per_second, bool looks) {
  static bool is_over[ARENA_RINGS];
  static uint64_t now;
  bool is_behind = false;
  hertz = ticks_per_second;
  if (looks) {
    look_for_images();
    now = image_scale.ticks();
  }
  for (size_t i = 0; i < image_count; i++) images[i]->end_count = 0;
  list_rings(is_over, looks);
  for (size_t i = 0; i < image_count && !is_damaged; i++) {
    struct image *image = images[i];
    if (image->slot == NULL) continue;
    image->is_behind = pass_image(image, now);
    is_behind |= image->is_behind;
  }
  if (is_damaged) return PASS_DAMAGED;
  give_ended_rings(is_over);
  for (size_t i = 0; i < image_count; i++)
    if (images[i]->slot != NULL && images[i]->ended && !images[i]->is_behind) close_image(images[i]);
  return is_behind ? PASS_SOME : PASS_ALL;
}

void images_close(enum ended ended, double ticks_per_second) {
  hertz = ticks_per_second;
  for (size_t i = 0; i < image_count; i++) {
    struct image *image = images[i];
    if (image->slot == NULL) continue;
    /* Of another pid namespace nobody knows whether it still runs. */
    bool may_run = image->pidfd >= 0 || ended != ENDED_RUNNING;
    if (may_run) image->told.ended = ended;
    close_image(image);
  }
}
