/* trace_loader.c: libFuzzer's target for driver/trace.c.
 *
 * The loader sees each input as a file. What it refuses needs no more than to be
 * refused without a fault of memory. What it accepts is then replayed on real
 * objects, threads taking turns in an order of the input's choice: an index that
 * leaves its table, a slot used before it is filled, an object freed twice or
 * never, or a wait that never ends is a fault of the loader.
 *
 * The driver's own pages come from malloc here, so that the sanitizer guards each
 * table to the byte. Only trace.c is linked: base/system.h is answered below.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/system.h"
#include "trace.h"

/* Objects stand for themselves: their sizes are claims, and need no memory. */
#define OBJECT_BYTES 8

static int file;
static char path[64];

void *take_lazy_pages(size_t bytes) { return calloc(1, bytes ? bytes : 1); }
void *take_pages(size_t bytes) { return take_lazy_pages(bytes); }
void give_pages(void *pages, size_t bytes) {
  (void)bytes;
  free(pages);
}

static void expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "accepted, but %s\n", what);
  abort();
}

struct replay {
  const struct trace *trace;
  char **objects;    /* by slot */
  uint32_t *epochs;  /* by slot: how many of its operations are done */
  uint64_t *done;    /* by thread */
  uint64_t live;
  uint64_t gap_ns;
};

static void replay_op(struct replay *replay, const struct trace_op *op) {
  const struct trace_tag *tag = &replay->trace->tags[op->tag];
  char **object = &replay->objects[op->slot];
  uint64_t place = (uint64_t)(op - replay->trace->ops);
  expect(op->epoch == replay->epochs[op->slot], "an operation comes out of turn");
  expect(!replay->trace->touched || replay->trace->touched[place] <= op->size, "more is touched");
  if (replay->trace->gaps) replay->gap_ns += trace_gap_ns(replay->trace->gaps[place]);
  expect(tag->hint_hz >= 0, "a hint is no frequency");
  replay->epochs[op->slot]++;
  switch ((enum trace_kind)op->kind) {
  case TRACE_ALIGNED_ALLOC:
    expect(op->align_log2 >= 4 && op->align_log2 <= 21, "an alignment is out of range");
    /* fall through */
  case TRACE_MALLOC:
  case TRACE_CALLOC:
    expect(*object == NULL, "a slot is filled twice");
    *object = calloc(1, OBJECT_BYTES);
    replay->live++;
    break;
  case TRACE_SYNC:
    expect(*object == NULL && op->size == 0, "a sync is of an object");
    break;
  case TRACE_REALLOC:
  case TRACE_WRITE:
  case TRACE_FREE_FOREIGN:
    expect(*object != NULL, "an empty slot is used");
    (*object)[OBJECT_BYTES - 1] = 1;
    break;
  case TRACE_FREE:
    expect(*object != NULL, "an empty slot is freed");
    free(*object);
    *object = NULL;
    replay->live--;
    break;
  default:
    expect(false, "an operation is of unknown kind");
  }
}

/* As handover.h has it: an operation waits for the one before it on its slot. */
static bool can_go(const struct replay *replay, uint32_t thread) {
  const struct trace_thread *entry = &replay->trace->threads[thread];
  if (replay->done[thread] == entry->op_count) return false;
  uint32_t before = entry->predecessor;
  if (before != TRACE_NO_THREAD &&
      replay->done[before] < replay->trace->threads[before].op_count)
    return false;
  const struct trace_op *op = &replay->trace->ops[entry->first_op + replay->done[thread]];
  return !(op->flags & TRACE_WAIT) || replay->epochs[op->slot] == op->epoch;
}

/* The low bits of such a generator take turns: they are left out. */
static uint32_t next_random(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 16;
}

static void replay_all(const struct trace *trace, uint32_t seed) {
  const struct trace_header *header = trace->header;
  struct replay replay = {
      .trace = trace,
      .objects = calloc(header->slot_count, sizeof(char *)),
      .epochs = calloc(header->slot_count, sizeof(uint32_t)),
      .done = calloc(header->thread_count, sizeof(uint64_t)),
  };
  for (uint64_t step = 0; step < header->op_count; step++) {
    uint32_t thread = next_random(&seed) % header->thread_count;
    uint32_t tried = 0;
    for (; tried < header->thread_count && !can_go(&replay, thread); tried++)
      thread = (thread + 1) % header->thread_count;
    expect(tried < header->thread_count, "its threads wait for each other for ever");
    const struct trace_thread *entry = &trace->threads[thread];
    replay_op(&replay, &trace->ops[entry->first_op + replay.done[thread]]);
    replay.done[thread]++;
  }
  expect(replay.live == 0, "objects are left");
  free(replay.objects);
  free(replay.epochs);
  free(replay.done);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  file = memfd_create("trace", 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  return file < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct trace trace = {0};
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size) abort();
  const char *wrong = trace_open(&trace, path);
  if (!wrong) replay_all(&trace, size > 16 ? data[16] | 1u : 1u);
  if (trace.header) munmap((void *)trace.header, trace.file_bytes);
  return 0;
}
