#include "trace.h"

#include <fcntl.h>
#include <float.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/system.h"

/* Limits that keep every product below far from overflow, as those of trace.h do. */
#define MAX_TAGS 65536u
#define MAX_SLOTS 0x40000000u
#define WORD_BYTES 8 /* what one TRACE_WRITE touches */

const char *const trace_kind_names[TRACE_KINDS] = {
    "malloc", "calloc", "realloc", "aligned_alloc", "free", "free_foreign", "write", "sync",
};

/* What the checker knows of a slot while it walks the trace. */
struct slot_state {
  uint32_t epoch;
  uint32_t thread; /* of its last operation */
  uint32_t size;   /* of its object, as is the tag */
  uint16_t tag;
  bool posted; /* its last operation hands it over */
  bool filled;
  bool aligned;
};

static bool section_fits(const struct trace *trace, uint64_t offset, uint64_t count, size_t item) {
  if (offset % 8 != 0 || offset > trace->file_bytes) return false;
  return count <= (trace->file_bytes - offset) / item;
}

static const char *check_header(const struct trace *trace) {
  const struct trace_header *header = trace->header;
  if (trace->file_bytes < sizeof *header) return "shorter than a trace header";
  if (memcmp(header->magic, TRACE_MAGIC, sizeof header->magic) != 0) return "not a trace file";
  if (header->version != TRACE_VERSION) return "a trace of another version: generate it again";
  if (header->header_bytes != sizeof *header) return "header has the wrong length";
  if (header->op_count == 0) return "holds no operation";
  if (header->thread_count == 0 || header->thread_count > TRACE_MAX_THREADS)
    return "bad thread count";
  if (header->tag_count == 0 || header->tag_count > MAX_TAGS) return "bad tag count";
  if (header->slot_count == 0 || header->slot_count > MAX_SLOTS ||
      header->slot_count > header->op_count) /* an unused one would still cost memory */
    return "bad slot count";
  if (header->touch > TRACE_TOUCH_RECORDED) return "unknown kind of touch";
  if (header->touch == TRACE_TOUCH_RECORDED && !header->touched_offset)
    return "touches what was recorded, and nothing was";
  if (header->paced > (header->gap_offset != 0)) return "is paced, and has no recorded gaps";
  if (header->paced && header->work_ns) return "has both recorded gaps and work";
  if (header->work_ns > TRACE_MAX_WORK_NS) return "too much work between two operations";
  if (header->threads_end > (header->thread_count > 1)) return "has threads_end without threads";
  if (header->meta_bytes > TRACE_MAX_META_BYTES) return "too long a description";
  if (header->peak_live_op >= header->op_count) return "peak_live_op is no operation";
  if (!section_fits(trace, header->thread_offset, header->thread_count,
                    sizeof(struct trace_thread)) ||
      !section_fits(trace, header->tag_offset, header->tag_count, sizeof(struct trace_tag)) ||
      !section_fits(trace, header->op_offset, header->op_count, sizeof(struct trace_op)) ||
      !section_fits(trace, header->gap_offset, header->op_count, sizeof *trace->gaps) ||
      !section_fits(trace, header->touched_offset, header->op_count, sizeof *trace->touched))
    return "a section lies outside the file: truncated?";
  return NULL;
}

static const char *check_tags(const struct trace *trace) {
  const struct trace_tag *first = &trace->tags[0];
  if (first->class_id != 0 || first->domain != 0 || first->hint_hz != 0)
    return "the first tag is not the untagged one";
  for (uint32_t i = 0; i < trace->header->tag_count; i++)
    if (!(trace->tags[i].hint_hz >= 0 && trace->tags[i].hint_hz <= DBL_MAX))
      return "a tag's hint is no frequency";
  return NULL;
}

bool trace_threads_end(const struct trace *trace) {
  bool end = trace->header->threads_end;
  for (uint32_t t = 0; t < trace->header->thread_count; t++)
    end |= trace->threads[t].predecessor != TRACE_NO_THREAD;
  return end;
}

/* So that where threads end, each is born for its part. */
static bool has_one_part(const struct trace_thread *thread) {
  uint64_t ops = thread->op_count;
  return thread->build_ops == ops || thread->drain_ops == ops ||
         (thread->build_ops == 0 && thread->drain_ops == 0);
}

static const char *check_threads(struct trace *trace) {
  uint64_t next = 0;
  bool single = true;
  for (uint32_t t = 0; t < trace->header->thread_count; t++) {
    const struct trace_thread *thread = &trace->threads[t];
    if (thread->first_op != next) return "threads do not follow each other";
    if (thread->op_count > trace->header->op_count - next) return "a thread leaves the operations";
    if (thread->predecessor != TRACE_NO_THREAD && thread->predecessor >= t)
      return "a thread's predecessor does not come before it";
    if (thread->lane >= trace->header->thread_count) return "a thread has no such lane";
    if (thread->build_ops > thread->op_count ||
        thread->drain_ops > thread->op_count - thread->build_ops)
      return "a thread's parts are more than its operations";
    single &= has_one_part(thread);
    trace->part_ops[TRACE_BUILD] += thread->build_ops;
    trace->part_ops[TRACE_DRAIN] += thread->drain_ops;
    next += thread->op_count;
  }
  trace->part_ops[TRACE_STEADY] =
      next - trace->part_ops[TRACE_BUILD] - trace->part_ops[TRACE_DRAIN];
  if (trace_threads_end(trace) && !single)
    return "threads end, and one of them has more than one part";
  return next == trace->header->op_count ? NULL : "operations belong to no thread";
}

static const char *check_op(const struct trace *trace, const struct trace_op *op) {
  if (op->slot >= trace->header->slot_count) return "an operation names a slot that is not there";
  if (op->tag >= trace->header->tag_count) return "an operation names a tag that is not there";
  if (op->kind >= TRACE_KINDS) return "an operation of unknown kind";
  bool aligned = op->kind == TRACE_ALIGNED_ALLOC;
  if (aligned && (op->align_log2 < TRACE_MIN_ALIGN_LOG2 || op->align_log2 > TRACE_MAX_ALIGN_LOG2))
    return "an alignment outside 16 bytes to 2 MiB";
  if (!aligned && op->align_log2 != 0) return "an alignment on an operation that has none";
  bool frees = op->kind == TRACE_FREE || op->kind == TRACE_FREE_FOREIGN;
  if (frees && op->size != 0) return "a free with a size";
  if (op->kind == TRACE_REALLOC && op->size == 0) return "a realloc to nothing";
  if (op->kind == TRACE_SYNC && (op->size != 0 || op->tag != 0)) return "a sync with a size or tag";
  bool sized = op->kind <= TRACE_ALIGNED_ALLOC;
  if (trace->touched && trace->touched[op - trace->ops] > (sized ? op->size : 0))
    return "an operation touches more than its object";
  return NULL;
}

/* An operation on an object that is there. */
static const char *check_use(const struct trace *trace, const struct slot_state *slot,
                             const struct trace_op *op) {
  if (op->kind == TRACE_REALLOC && slot->aligned) return "a realloc of an aligned object";
  if (op->kind == TRACE_WRITE && slot->size < WORD_BYTES)
    return "a write of a word to a smaller object";
  if (op->kind != TRACE_FREE_FOREIGN)
    return op->tag == slot->tag ? NULL : "an operation with another tag than its object";
  if (trace->tags[op->tag].domain == trace->tags[slot->tag].domain)
    return "a foreign free from the object's own domain";
  return NULL;
}

static const char *step(const struct trace *trace, struct slot_state *slot,
                        const struct trace_op *op) {
  if (op->epoch != slot->epoch) return "a slot's operations are not numbered in order";
  slot->epoch++;
  bool creates = op->kind == TRACE_MALLOC || op->kind == TRACE_CALLOC ||
                 op->kind == TRACE_ALIGNED_ALLOC;
  if (op->kind == TRACE_SYNC) return slot->filled ? "a sync of a slot that is in use" : NULL;
  if (creates && slot->filled) return "an allocation into a slot that is in use";
  if (!creates && !slot->filled) return "an operation on an empty slot";
  const char *wrong = creates ? NULL : check_use(trace, slot, op);
  if (wrong) return wrong;
  if (creates) {
    slot->aligned = op->kind == TRACE_ALIGNED_ALLOC;
    slot->tag = op->tag;
  }
  if (creates || op->kind == TRACE_REALLOC) slot->size = op->size;
  slot->filled = op->kind != TRACE_FREE;
  return NULL;
}

/* A hand-over of which one side does not know is a race, or a wait for ever. */
static const char *hand_over(struct slot_state *slot, const struct trace_op *op, uint32_t thread) {
  bool handed = slot->epoch > 0 && slot->thread != thread;
  bool waits = op->flags & TRACE_WAIT;
  if (handed != waits || handed != slot->posted) return "an operation's hand-over flags are wrong";
  slot->thread = thread;
  slot->posted = op->flags & TRACE_POST;
  return NULL;
}

/* One thread's run from where it stands to the end of its part, or to a slot that another
 * one has not yet handed over. `done` counts the operations behind it. */
static const char *run_thread(const struct trace *trace, struct slot_state *slots, uint32_t thread,
                              uint64_t *done, uint64_t end) {
  const struct trace_op *ops = trace->ops + trace->threads[thread].first_op;
  for (; *done < end; ++*done) {
    const struct trace_op *op = &ops[*done];
    const char *wrong = check_op(trace, op);
    if (wrong) return wrong;
    struct slot_state *slot = &slots[op->slot];
    if ((op->flags & TRACE_WAIT) && op->epoch > slot->epoch) return NULL;
    wrong = hand_over(slot, op, thread);
    if (!wrong) wrong = step(trace, slot, op);
    if (wrong) return wrong;
  }
  return NULL;
}

/* All threads' operations of one part, in rounds. One in which nobody moves is a deadlock. */
static const char *check_part(const struct trace *trace, struct slot_state *slots,
                              uint64_t *done, enum trace_part part) {
  uint32_t threads = trace->header->thread_count;
  uint64_t total = 0;
  for (uint32_t t = 0; t < threads; t++) done[t] = trace_range(trace, t, part).begin;
  for (bool moved = true; moved;) {
    moved = false;
    for (uint32_t t = 0; t < threads; t++) {
      uint32_t before = trace->threads[t].predecessor;
      if (before != TRACE_NO_THREAD && done[before] < trace_range(trace, before, part).end)
        continue;
      uint64_t stood_at = done[t];
      const char *wrong = run_thread(trace, slots, t, &done[t], trace_range(trace, t, part).end);
      if (wrong) return wrong;
      total += done[t] - stood_at;
      moved |= done[t] > stood_at;
    }
  }
  return total == trace->part_ops[part] ? NULL : "cannot end: a thread waits for a slot for ever";
}

/* A part that is repeated begins with other objects, and with the same order of turns. */
static void take_turns_back(struct slot_state *slots, const struct slot_state *before,
                            uint32_t count) {
  for (uint32_t s = 0; s < count; s++) {
    slots[s].epoch = before[s].epoch;
    slots[s].thread = before[s].thread;
    slots[s].posted = before[s].posted;
  }
}

static void keep_epochs(struct trace *trace, const struct slot_state *slots,
                        enum trace_part part) {
  uint32_t count = trace->header->slot_count;
  if (trace->header->thread_count == 1) return;
  trace->part_epochs[part] = take_pages(count * sizeof(uint32_t));
  for (uint32_t s = 0; s < count; s++) trace->part_epochs[part][s] = slots[s].epoch;
}

/* The steady part twice: what holds then holds whenever it is repeated. */
static const char *check_parts(struct trace *trace, struct slot_state *slots,
                               struct slot_state *before, uint64_t *done) {
  uint32_t count = trace->header->slot_count;
  keep_epochs(trace, slots, TRACE_BUILD);
  const char *wrong = check_part(trace, slots, done, TRACE_BUILD);
  if (wrong) return wrong;
  keep_epochs(trace, slots, TRACE_STEADY);
  memcpy(before, slots, count * sizeof *slots);
  wrong = check_part(trace, slots, done, TRACE_STEADY);
  if (wrong) return wrong;
  take_turns_back(slots, before, count);
  if (check_part(trace, slots, done, TRACE_STEADY))
    return "its steady part does not end with the slots that it begins with";
  keep_epochs(trace, slots, TRACE_DRAIN);
  wrong = check_part(trace, slots, done, TRACE_DRAIN);
  for (uint32_t s = 0; !wrong && s < count; s++)
    if (slots[s].filled) wrong = "an object is never freed";
  return wrong;
}

static const char *check_ops(struct trace *trace) {
  size_t bytes = (size_t)trace->header->slot_count * sizeof(struct slot_state);
  size_t done_bytes = trace->header->thread_count * sizeof(uint64_t);
  struct slot_state *slots = take_lazy_pages(bytes), *before = take_lazy_pages(bytes);
  uint64_t *done = take_lazy_pages(done_bytes);
  const char *wrong = check_parts(trace, slots, before, done);
  give_pages(slots, bytes);
  give_pages(before, bytes);
  give_pages(done, done_bytes);
  return wrong;
}

static const char *map_file(struct trace *trace, const char *path) {
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return "cannot be opened";
  struct stat status;
  bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  void *file = MAP_FAILED;
  if (regular && status.st_size > 0)
    file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
  close(fd);
  if (file == MAP_FAILED) return "is no regular file, or empty";
  trace->header = file;
  trace->file_bytes = (size_t)status.st_size;
  return NULL;
}

/* Of how many bytes a replay of what can be repeated touches every page: at most, since a grown
 * object has only its new part touched. */
static uint64_t touched_bytes(const struct trace *trace) {
  if (trace->header->touch < TRACE_TOUCH_PAGES) return 0;
  uint64_t bytes = 0;
  for (uint32_t t = 0; t < trace->header->thread_count; t++) {
    uint64_t first = trace->threads[t].first_op;
    for (enum trace_part part = trace_first_repeated(trace); part <= trace_last_repeated(trace);
         part++) {
      struct trace_range range = trace_range(trace, t, part);
      for (uint64_t i = first + range.begin; i < first + range.end; i++)
        if (trace->ops[i].kind <= TRACE_ALIGNED_ALLOC)
          bytes += trace->touched ? trace->touched[i] : trace->ops[i].size;
    }
  }
  return bytes;
}

uint64_t trace_warm_replays(const struct trace *trace, uint64_t most) {
  uint64_t replays = (TRACE_WARM_OPS - 1) / trace_repeated_ops(trace) + 1;
  if (replays > most) replays = most;
  uint64_t bytes = touched_bytes(trace);
  uint64_t affordable = bytes ? TRACE_WARM_BYTES / bytes : replays;
  if (affordable == 0) return 1;
  return replays < affordable ? replays : affordable;
}

const char *trace_open(struct trace *trace, const char *path) {
  const char *wrong = map_file(trace, path);
  if (!wrong) wrong = check_header(trace);
  if (wrong) return wrong;
  const char *base = (const char *)trace->header;
  trace->threads = (const struct trace_thread *)(base + trace->header->thread_offset);
  trace->tags = (const struct trace_tag *)(base + trace->header->tag_offset);
  trace->ops = (const struct trace_op *)(base + trace->header->op_offset);
  if (trace->header->paced) trace->gaps = (const void *)(base + trace->header->gap_offset);
  if (trace->header->touched_offset)
    trace->touched = (const void *)(base + trace->header->touched_offset);
  wrong = check_tags(trace);
  if (!wrong) wrong = check_threads(trace);
  return wrong ? wrong : check_ops(trace);
}
