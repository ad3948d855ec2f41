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
    "malloc", "calloc", "realloc", "aligned_alloc", "free", "free_foreign", "write",
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
  if (header->touch > TRACE_TOUCH_ALL) return "unknown kind of touch";
  if (header->build_ops > header->op_count) return "build_ops lies beyond the last operation";
  if (header->peak_live_op >= header->op_count) return "peak_live_op is no operation";
  if (!section_fits(trace, header->thread_offset, header->thread_count,
                    sizeof(struct trace_thread)) ||
      !section_fits(trace, header->tag_offset, header->tag_count, sizeof(struct trace_tag)) ||
      !section_fits(trace, header->op_offset, header->op_count, sizeof(struct trace_op)))
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

static const char *check_threads(const struct trace *trace) {
  uint64_t next = 0;
  for (uint32_t t = 0; t < trace->header->thread_count; t++) {
    const struct trace_thread *thread = &trace->threads[t];
    if (thread->first_op != next) return "threads do not follow each other";
    if (thread->op_count > trace->header->op_count - next) return "a thread leaves the operations";
    if (thread->predecessor != TRACE_NO_THREAD && thread->predecessor >= t)
      return "a thread's predecessor does not come before it";
    if (thread->lane >= trace->header->thread_count) return "a thread has no such lane";
    next += thread->op_count;
  }
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

/* One thread: the order of the file is the order of the replay. */
static const char *check_sequence(const struct trace *trace, struct slot_state *slots) {
  for (uint64_t i = 0; i < trace->header->op_count; i++) {
    const struct trace_op *op = &trace->ops[i];
    const char *wrong = check_op(trace, op);
    if (!wrong) wrong = step(trace, &slots[op->slot], op);
    if (wrong) return wrong;
  }
  return NULL;
}

/* One thread's run from where it stands to its end, or to a slot that another one
 * has not yet handed over. `done` counts the operations behind it. */
static const char *run_thread(const struct trace *trace, struct slot_state *slots, uint32_t thread,
                              uint64_t *done) {
  const struct trace_op *ops = trace->ops + trace->threads[thread].first_op;
  for (; *done < trace->threads[thread].op_count; ++*done) {
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

/* Several threads, in rounds. A round in which nobody moves is a deadlock. */
static const char *check_rounds(const struct trace *trace, struct slot_state *slots,
                                uint64_t *done) {
  uint64_t total = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (uint32_t t = 0; t < trace->header->thread_count; t++) {
      uint32_t before = trace->threads[t].predecessor;
      if (before != TRACE_NO_THREAD && done[before] < trace->threads[before].op_count) continue;
      uint64_t stood_at = done[t];
      const char *wrong = run_thread(trace, slots, t, &done[t]);
      if (wrong) return wrong;
      total += done[t] - stood_at;
      moved |= done[t] > stood_at;
    }
  }
  return total == trace->header->op_count ? NULL : "cannot end: a thread waits for a slot for ever";
}

static const char *check_threaded(const struct trace *trace, struct slot_state *slots) {
  size_t bytes = trace->header->thread_count * sizeof(uint64_t);
  uint64_t *done = take_lazy_pages(bytes);
  const char *wrong = check_rounds(trace, slots, done);
  give_pages(done, bytes);
  return wrong;
}

static const char *check_ops(const struct trace *trace) {
  size_t bytes = (size_t)trace->header->slot_count * sizeof(struct slot_state);
  struct slot_state *slots = take_lazy_pages(bytes);
  const char *wrong = trace->header->thread_count == 1 ? check_sequence(trace, slots)
                                                       : check_threaded(trace, slots);
  for (uint32_t s = 0; !wrong && s < trace->header->slot_count; s++)
    if (slots[s].filled) wrong = "an object is never freed";
  give_pages(slots, bytes);
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

const char *trace_open(struct trace *trace, const char *path) {
  const char *wrong = map_file(trace, path);
  if (!wrong) wrong = check_header(trace);
  if (wrong) return wrong;
  const char *base = (const char *)trace->header;
  trace->threads = (const struct trace_thread *)(base + trace->header->thread_offset);
  trace->tags = (const struct trace_tag *)(base + trace->header->tag_offset);
  trace->ops = (const struct trace_op *)(base + trace->header->op_offset);
  wrong = check_tags(trace);
  if (!wrong) wrong = check_threads(trace);
  return wrong ? wrong : check_ops(trace);
}
