#include "recorder/drainer/living.h"

#include <stdlib.h>

/* Each kind has its own way through `living_take`, with all of what follows within: it is most of
 * what an event costs. */

INLINED void add_row(struct image *image, uint32_t number, const struct row *row) {
  struct columns *columns = &image->threads[number]->writing->columns;
  image->told.counts[event_kind(row->what)]++;
  while (!columns_add(columns, row)) image_tell_chunk(image, number);
}

INLINED void tell_object(const struct image *image, uint32_t number,
                         const struct object *object, struct row *row) {
  row->place = object->birth;
  if (object->thread == number) {
    row->told = TOLD_AGE;
    row->age = image->threads[number]->births - object->birth;
  } else {
    row->told = TOLD_FOREIGN;
    row->owner = object->thread;
  }
}

INLINED void be_born(struct image *image, uint32_t number, uint64_t address, struct row *row) {
  const struct object object = {.address = address,
                                .align_log2 = event_align_log2(row->what),
                                .thread = number,
                                .birth = image->threads[number]->births++,
                                .size = row->size};
  row->told = TOLD_BIRTH;
  image->told.ambiguous += !objects_add(&image->objects, &object);
}

INLINED void die(struct image *image, uint32_t number, uint64_t address, struct row *row) {
  if (address == 0) return;
  const struct object *object = objects_find(&image->objects, address);
  if (object == NULL) {
    row->told = TOLD_UNKNOWN;
    return;
  }
  tell_object(image, number, object, row);
  struct writing *writing = image->threads[number]->writing;
  if (event_kind(row->what) == KIND_REALLOC_BEGIN)
    writing->resized[writing->resized_count++ % RESIZED] = *object;
  objects_remove(&image->objects, object);
}

/* It lives on, as what it was. */
static void live_on(struct image *image, uint32_t number, uint64_t address, struct row *row) {
  const struct writing *writing = image->threads[number]->writing;
  if (address == 0) return;
  row->told = TOLD_UNKNOWN;
  for (unsigned back = 1; back <= RESIZED; back++) {
    const struct object *object = &writing->resized[(writing->resized_count - back) % RESIZED];
    if (object->address != address) continue;
    tell_object(image, number, object, row);
    objects_add(&image->objects, object);
    return;
  }
}

static void be_asked(struct image *image, uint32_t number, uint64_t address, struct row *row) {
  if (address == 0) return;
  const struct object *object = objects_find(&image->objects, address);
  row->told = TOLD_UNKNOWN;
  if (object != NULL) tell_object(image, number, object, row);
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
  struct thread *other = image_thread(image, told);
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
    unsigned align_log2 = sorted[i].align_log2;
    struct row row = {.what = (uint32_t)event_name(KIND_INHERITED, ENTRY_NONE, align_log2, 0),
                      .size = sorted[i].size,
                      .time = time};
    be_born(image, number, sorted[i].address, &row);
    add_row(image, number, &row);
  }
  free(sorted);
  objects_drop(&image->inherited);
}

void living_take(struct image *image, uint32_t number, const struct whole_event *event) {
  unsigned kind = event_kind(event->name);
  if (__builtin_expect(kind == KIND_NOTE, 0)) {
    take_note(image, number, event);
    return;
  }
  struct row row = {.what = event->name & EVENT_WHAT,
                    .time = scaled(event->time),
                    .size = event->size,
                    .extra = event->extra};
  uint64_t address = event_address(event->name);
  struct thread *thread = image->threads[number];
  if (__builtin_expect(thread->writing == NULL, 0)) image_begin_writing(thread);
  if (__builtin_expect(!image->has_inherited, 0)) inherit(image, number, scaled(image->start));
  switch (kind) {
    case KIND_ALLOCATION:
      be_born(image, number, address, &row);
      add_row(image, number, &row);
      return;
    case KIND_FREE:
      die(image, number, address, &row);
      add_row(image, number, &row);
      return;
    case KIND_REALLOC_END: be_born(image, number, address, &row); break;
    case KIND_REALLOC_BEGIN: die(image, number, address, &row); break;
    case KIND_REALLOC_FAILED: live_on(image, number, address, &row); break;
    case KIND_USABLE_SIZE:
    case KIND_TOUCHED: be_asked(image, number, address, &row); break;
    default: break; /* no object */
  }
  add_row(image, number, &row);
}
