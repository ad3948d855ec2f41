#include "recorder/drainer/image.h"

#include <stdlib.h>
#include <string.h>

#include "recorder/drainer/memory.h"

struct time_scale image_scale;

struct thread *image_thread(struct image *image, uint64_t number) {
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

void image_begin_writing(struct thread *thread) {
  thread->writing = memory_new(sizeof *thread->writing);
  thread->writing->columns.first_birth = thread->births;
}

void image_tell_chunk(struct image *image, uint32_t number) {
  struct columns *columns = &image->threads[number]->writing->columns;
  if (columns->count == 0) return;
  uint32_t lengths[STREAMS];
  columns_finish(columns, lengths);
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

void image_end_writing(struct image *image, uint32_t number) {
  struct thread *thread = image->threads[number];
  if (thread->writing == NULL) return;
  image_tell_chunk(image, number);
  columns_drop(&thread->writing->columns);
  free(thread->writing);
  thread->writing = NULL;
}

void image_tell(const struct image *image, double ticks_per_second, bool is_last) {
  struct image_frame told = image->told;
  told.is_last = is_last;
  told.ticks_per_second = ticks_per_second;
  told.reading_ns = image_scale.reading_ns;
  told.threads = image->thread_count;
  told.allocator_bytes = (uint32_t)strlen(image->allocator);
  double ns_per_tick = ticks_per_second > 0 ? 1e9 / ticks_per_second : 0;
  told.stalled_ns = (uint64_t)((double)(told.stalled_ns >> image_scale.shift) * ns_per_tick);
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
