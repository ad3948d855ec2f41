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
#include "recorder/drainer/objects.h"
#include "recorder/drainer/rings.h"

#define MOST_THREADS (1u << 20) /* of one image; as recorder/event_file.py */
#define RESIZED 64              /* reallocs that are between their begin and their end */
#define MOST_COPIES 64          /* of forks whose child did not come forward */

struct thread {
  struct thread_frame told;
  struct columns columns;
  uint64_t births;
  struct object resized[RESIZED];
  unsigned resized_count; /* so far: the place of the next one, modulo RESIZED */
};

struct fork_copy {
  uint64_t fork;
  struct objects objects;
};

struct image {
  struct arena_process *slot; /* NULL: given back */
  struct image_frame told;
  serial_t serial, parent;
  uint64_t number;
  uint64_t fork, start; /* raw ticks */
  int pidfd;
  bool ended, has_inherited;
  struct objects objects;
  struct objects inherited;
  struct thread **threads;
  uint32_t thread_count;
  struct fork_copy copies[MOST_COPIES];
  unsigned copy_count; /* so far, as resized_count */
  char *command, *allocator;
  struct ring_end **ends; /* of its rings, in this pass */
  size_t end_count, end_capacity;
};

static struct arena *arena;
static struct time_scale scale;
static struct image **images; /* in the order in which they began */
static size_t image_count, image_capacity;
static struct ring_end *ends[ARENA_RINGS]; /* NULL: a ring of nobody's */
static struct image *owners[ARENA_RINGS];
static double hertz;

size_t images_count(void) { return image_count; }

static uint64_t scaled(uint64_t ticks) {
  return ticks > scale.zero ? (ticks - scale.zero) >> scale.shift : 0;
}

void images_open(struct arena *opened, const struct time_scale *given) {
  arena = opened;
  scale = *given;
}

/* ---- What is told ------------------------------------------------------------------------- */

static void tell_chunk(struct image *image, uint32_t number) {
  struct columns *columns = &image->threads[number]->columns;
  if (columns->count == 0) return;
  uint32_t lengths[STREAMS];
  columns_lengths(columns, lengths);
  size_t bytes = sizeof lengths;
  for (size_t i = 0; i < STREAMS; i++) bytes += lengths[i];
  struct frame frame = {.kind = FRAME_CHUNK,
                        .bytes = (uint32_t)bytes,
                        .process = image->number,
                        .thread = number,
                        .count = columns->count,
                        .births = columns->births,
                        .first_birth = columns->first_birth,
                        .base_time = columns->base_time};
  output(&frame, sizeof frame);
  output(lengths, sizeof lengths);
  for (size_t i = 0; i < STREAMS; i++) output(columns->streams[i].bytes, lengths[i]);
  columns_begin(columns);
}

static uint32_t length_of(const char *text, uint32_t most) {
  return (uint32_t)strnlen(text, most);
}

static void tell_image(struct image *image, bool is_last) {
  struct image_frame told = image->told;
  told.is_last = is_last;
  told.ticks_per_second = hertz;
  told.threads = image->thread_count;
  told.allocator_bytes = length_of(image->allocator, ALLOCATOR_BYTES);
  double ns_per_tick = hertz > 0 ? 1e9 / hertz : 0;
  told.stalled_ns = (uint64_t)((double)(told.stalled_ns >> scale.shift) * ns_per_tick);
  size_t bytes = sizeof told + told.threads * sizeof(struct thread_frame) + told.command_bytes +
                 told.allocator_bytes;
  struct frame frame = {
      .kind = FRAME_IMAGE, .bytes = (uint32_t)bytes, .process = image->number};
  output(&frame, sizeof frame);
  output(&told, sizeof told);
  for (uint32_t i = 0; i < image->thread_count; i++)
    output(&image->threads[i]->told, sizeof(struct thread_frame));
  output(image->command, told.command_bytes);
  output(image->allocator, told.allocator_bytes);
}

/* ---- Threads and rings -------------------------------------------------------------------- */

static struct thread *thread_of(struct image *image, uint64_t number) {
  if (number >= MOST_THREADS) return NULL;
  if (number >= image->thread_count) {
    image->threads = memory_resize(image->threads, (number + 1) * sizeof(struct thread *));
    for (uint32_t i = image->thread_count; i <= number; i++) {
      struct thread *thread = memory_new(sizeof *thread);
      struct thread_frame *told = &thread->told;
      told->parent = told->joined_by = NEVER;
      told->created = told->birth = told->end = told->joined = NEVER;
      image->threads[i] = thread;
    }
    image->thread_count = (uint32_t)number + 1;
  }
  return image->threads[number];
}

#define EVENTS_TO_KEEP 8192 /* of a ring: the next thread finds their pages */

/* Its ring is anybody's again. */
static void give_ring(size_t index) {
  struct ring_end *end = ends[index];
  struct image_frame *told = &owners[index]->told;
  owners[index]->threads[end->thread]->told.stalls += end->ring->stalls;
  told->stalls += end->ring->stalls;
  told->stalled_ns += end->ring->stalled_ticks; /* ticks until they are told */
  if (end->taken > EVENTS_TO_KEEP)
    madvise((void *)(uintptr_t)end->events, RING_BYTES, MADV_REMOVE);
  end->ring->head = end->ring->tail = 0;
  free(end);
  ends[index] = NULL;
  owners[index] = NULL;
  __atomic_store_n(&arena->rings[index].state, SLOT_FREE, __ATOMIC_RELEASE);
}

/* ---- Events ------------------------------------------------------------------------------- */

static void add_row(struct image *image, uint32_t number, const struct row *row) {
  struct columns *columns = &image->threads[number]->columns;
  if (row->kind < COUNTED_KINDS) image->told.counts[row->kind]++;
  if (columns_add(columns, row)) return;
  tell_chunk(image, number);
  columns_add(columns, row);
}

static void tell_object(const struct image *image, uint32_t number, const struct object *object,
                        struct row *row) {
  if (object->thread == number) {
    row->told = TOLD_AGE;
    row->age = image->threads[number]->births - object->birth;
    row->place = object->birth;
  } else {
    row->told = TOLD_FOREIGN;
    row->owner = object->thread;
    row->place = object->birth;
  }
}

static void be_born(struct image *image, uint32_t number, uint64_t address, struct row *row) {
  struct thread *thread = image->threads[number];
  struct object object = {.address = address,
                          .birth = thread->births++,
                          .size = row->size,
                          .thread = number,
                          .align_log2 = row->align_log2};
  row->told = TOLD_BIRTH;
  if (!objects_add(&image->objects, &object)) image->told.ambiguous++;
}

static void die(struct image *image, uint32_t number, uint64_t address, struct row *row) {
  struct object object;
  if (address == 0) return;
  if (!objects_remove(&image->objects, address, &object)) {
    row->told = TOLD_UNKNOWN;
    return;
  }
  tell_object(image, number, &object, row);
  struct thread *thread = image->threads[number];
  if (row->kind == KIND_REALLOC_BEGIN) thread->resized[thread->resized_count++ % RESIZED] = object;
}

/* It lives on, as what it was. */
static void live_on(struct image *image, uint32_t number, uint64_t address, struct row *row) {
  struct thread *thread = image->threads[number];
  if (address == 0) return;
  row->told = TOLD_UNKNOWN;
  for (unsigned back = 1; back <= RESIZED; back++) {
    const struct object *object = &thread->resized[(thread->resized_count - back) % RESIZED];
    if (object->address != address) continue;
    tell_object(image, number, object, row);
    objects_add(&image->objects, object);
    return;
  }
}

static void be_asked(struct image *image, uint32_t number, uint64_t address, struct row *row) {
  struct object object;
  if (address == 0) return;
  row->told = TOLD_UNKNOWN;
  if (objects_find(&image->objects, address, &object)) tell_object(image, number, &object, row);
}

static void copy_for_child(struct image *image, uint64_t fork) {
  struct fork_copy *copy = &image->copies[image->copy_count++ % MOST_COPIES];
  objects_drop(&copy->objects);
  *copy = (struct fork_copy){fork, objects_copy(&image->objects)};
}

static void take_note(struct image *image, uint32_t number, const struct whole_event *event) {
  uint64_t told = event_address(event->name), time = scaled(event->time);
  unsigned note = event_entry(event->name);
  struct thread_frame *self = &image->threads[number]->told;
  if (note == NOTE_FORK) copy_for_child(image, told);
  if (note == NOTE_END) self->end = time;
  if (note != NOTE_CREATE && note != NOTE_JOINED) return;
  struct thread *other = thread_of(image, told);
  if (other == NULL) return;
  if (note == NOTE_CREATE) {
    other->told.parent = number;
    other->told.created = time;
  } else {
    other->told.joined_by = number;
    other->told.joined = time;
  }
}

/* What a forked process has from its parent, before its own first event. */
static void inherit(struct image *image, uint32_t number, uint64_t time) {
  image->has_inherited = true;
  struct object *sorted = objects_sorted(&image->inherited);
  for (size_t i = 0; i < image->inherited.count; i++) {
    struct row row = {.kind = KIND_INHERITED,
                      .align_log2 = sorted[i].align_log2,
                      .size = sorted[i].size,
                      .time = time};
    be_born(image, number, sorted[i].address, &row);
    add_row(image, number, &row);
  }
  free(sorted);
  objects_drop(&image->inherited);
}

static void take_event(struct image *image, uint32_t number, const struct whole_event *event) {
  struct row row = {.kind = event_kind(event->name),
                    .entry = event_entry(event->name),
                    .align_log2 = event_align_log2(event->name),
                    .time = scaled(event->time),
                    .size = event->size,
                    .extra = event->extra};
  uint64_t address = event_address(event->name);
  if (row.kind == KIND_NOTE) {
    take_note(image, number, event);
    return;
  }
  if (!image->has_inherited) inherit(image, number, scaled(image->start));
  switch (row.kind) {
    case KIND_ALLOCATION:
    case KIND_REALLOC_END: be_born(image, number, address, &row); break;
    case KIND_FREE:
    case KIND_REALLOC_BEGIN: die(image, number, address, &row); break;
    case KIND_REALLOC_FAILED: live_on(image, number, address, &row); break;
    case KIND_USABLE_SIZE: be_asked(image, number, address, &row); break;
    default: break; /* no object */
  }
  add_row(image, number, &row);
}

/* ---- One process in the order of its times ------------------------------------------------- */

/* Of its rings the one with the earliest event, and the time of the second; NULL: none until
 * `limit`. */
static struct ring_end *earliest(const struct image *image, uint64_t limit, uint64_t *next_time) {
  struct ring_end *first = NULL;
  *next_time = limit;
  for (size_t i = 0; i < image->end_count; i++) {
    struct ring_end *end = image->ends[i];
    if (!end->holds || end->event.time > limit) continue;
    if (first == NULL || end->event.time < first->event.time) {
      if (first != NULL) *next_time = first->event.time;
      first = end;
    } else if (end->event.time < *next_time) {
      *next_time = end->event.time;
    }
  }
  return first;
}

#define EVENTS_A_TURN 4096 /* then the thread has its room back */

static bool is_damaged;

#define BIRTHS (1u << KIND_ALLOCATION | 1u << KIND_REALLOC_END | 1u << KIND_REALLOC_FAILED)
#define DEATHS (1u << KIND_FREE | 1u << KIND_REALLOC_BEGIN)
#define NEED_LIVE (DEATHS | 1u << KIND_USABLE_SIZE)

static void take_next(struct image *image, struct ring_end *end);

/* Kinds of what has to go before an event, by what lives at its address: 0, nothing. */
static unsigned missing_before(const struct image *image, uint64_t name) {
  struct object object;
  unsigned kind = 1u << event_kind(name);
  uint64_t address = event_address(name);
  if (address == 0 || (kind & (BIRTHS | NEED_LIVE)) == 0) return 0;
  bool lives = objects_find(&image->objects, address, &object);
  if (lives) return (kind & BIRTHS) != 0 ? DEATHS : 0;
  return (kind & NEED_LIVE) != 0 ? BIRTHS : 0;
}

/* Takes it from whichever other ring has it. */
static void take_what_goes_before(struct image *image, struct ring_end *self, unsigned kinds) {
  uint64_t address = event_address(self->event.name);
  uint64_t until = self->event.time + scale.microsecond;
  self->waits = true;
  for (size_t i = 0; i < image->end_count; i++) {
    struct ring_end *end = image->ends[i];
    if (end->waits) continue;
    if (!rings_look(end)) is_damaged = true;
    if (is_damaged || !rings_have(end, kinds, address, until)) continue;
    for (bool found = false; !found && rings_next(end) == RING_EVENT;) {
      found = event_is(end->event.name, kinds, address);
      take_next(image, end);
    }
    break;
  }
  self->waits = false;
}

/* The event that a ring holds. */
static void take_next(struct image *image, struct ring_end *end) {
  unsigned missing = image->end_count > 1 ? missing_before(image, end->event.name) : 0;
  if (missing != 0) take_what_goes_before(image, end, missing);
  take_event(image, end->thread, &end->event);
  rings_use(end);
}

static int64_t merge(struct image *image, uint64_t limit) {
  int64_t taken = 0;
  uint64_t until;
  struct ring_end *end;
  for (size_t i = 0; i < image->end_count; i++)
    if (rings_next(image->ends[i]) == RING_DAMAGED) is_damaged = true;
  while (!is_damaged && (end = earliest(image, limit, &until)) != NULL) {
    do {
      take_next(image, end);
      if (++taken % EVENTS_A_TURN == 0) rings_give_back(end);
      if (rings_next(end) == RING_DAMAGED) is_damaged = true;
    } while (end->holds && end->event.time <= until && !is_damaged);
    rings_give_back(end);
  }
  return taken;
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
  image->told.origin = slot->origin;
  image->told.clock = arena->head.clock;
  image->told.start = scaled(slot->start);
  image->told.started_ns = scale.started_ns;
  image->told.unrecorded = slot->unrecorded;
  image->told.command_bytes = bytes < COMMAND_BYTES ? bytes : COMMAND_BYTES;
  image->command = copy_of(slot->command, image->told.command_bytes);
  image->allocator = copy_of(slot->allocator, length_of(slot->allocator, ALLOCATOR_BYTES));
  image->has_inherited = slot->origin != ORIGIN_FORK;
  know_parent(image, slot->parent_pid);
  image->pidfd = pidfd_of(slot, &is_gone);
  image->ended |= is_gone;
  if (image_count == image_capacity) {
    image_capacity = image_capacity == 0 ? 64 : image_capacity * 2;
    images = memory_resize(images, image_capacity * sizeof(struct image *));
  }
  images[image_count++] = image;
  tell_image(image, false);
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
  struct thread *thread = thread_of(image, number);
  if (thread == NULL) return;
  ends[index] = memory_new(sizeof *ends[index]);
  owners[index] = image;
  rings_open(ends[index], arena, ring);
  ends[index]->thread = number;
  thread->told.tid = ring->tid;
  thread->told.is_shared = ring->is_shared != 0;
  thread->told.birth = scaled(ring->birth);
}

/* What each thread has written by now. */
static void look_at_rings(bool *is_over) {
  uint32_t limit = __atomic_load_n(&arena->head.ring_limit, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < limit && i < ARENA_RINGS; i++) {
    uint32_t state = __atomic_load_n(&arena->rings[i].state, __ATOMIC_ACQUIRE);
    is_over[i] = state == SLOT_ENDED;
    if (state != SLOT_LIVE && state != SLOT_ENDED) continue;
    if (ends[i] == NULL) open_ring(i);
    if (ends[i] == NULL) continue;
    if (!rings_look(ends[i])) is_damaged = true;
    add_end(owners[i], ends[i]);
  }
}

/* ---- Ends ---------------------------------------------------------------------------------- */

static void close_image(struct image *image) {
  for (uint32_t i = 0; i < image->thread_count; i++) tell_chunk(image, i);
  for (size_t i = 0; i < ARENA_RINGS; i++)
    if (owners[i] == image) give_ring(i);
  tell_image(image, true);
  for (uint32_t i = 0; i < image->thread_count; i++) {
    columns_drop(&image->threads[i]->columns);
    free(image->threads[i]);
  }
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
    if (end == NULL || !is_over[i] || end->holds || end->taken != end->limit) continue;
    tell_chunk(owners[i], end->thread);
    columns_drop(&owners[i]->threads[end->thread]->columns);
    give_ring(i);
  }
}

/* The copy that its parent made for it, before any of its own events is looked at. */
static void adopt(struct image *image) {
  if (image->has_inherited || image->inherited.count != 0) return;
  struct image *parent = image_with(image->parent);
  if (parent == NULL) return;
  for (size_t i = 0; i < MOST_COPIES; i++) {
    struct fork_copy *copy = &parent->copies[i];
    if (copy->fork != image->fork || copy->objects.count == 0) continue;
    image->inherited = copy->objects;
    *copy = (struct fork_copy){0};
  }
}

int64_t images_pass(double ticks_per_second) {
  static bool is_over[ARENA_RINGS];
  int64_t taken = 0;
  hertz = ticks_per_second;
  look_for_images();
  uint64_t now = scale.ticks();
  for (size_t i = 0; i < image_count; i++) images[i]->end_count = 0;
  look_at_rings(is_over);
  for (size_t i = 0; i < image_count && !is_damaged; i++) {
    struct image *image = images[i];
    if (image->slot == NULL) continue;
    adopt(image);
    taken += merge(image, image->ended ? UINT64_MAX : now);
  }
  if (is_damaged) return -1;
  give_ended_rings(is_over);
  for (size_t i = 0; i < image_count; i++)
    if (images[i]->slot != NULL && images[i]->ended) close_image(images[i]);
  return taken;
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
