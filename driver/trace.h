/* trace.h: a trace file, as it lies on disk and is mapped into the driver.
 *
 * A trace is what a program asks of its allocator, without pointers: each
 * operation names a slot (an object's identity), and the driver keeps the
 * address. src/allocphase/trace/encoding.py writes the same layout with numpy; a test
 * compares the two byte by byte.
 *
 *   offset 0   struct trace_header      192 bytes
 *              struct trace_thread[thread_count]
 *              struct trace_tag[tag_count]         tag 0 is "untagged"
 *              char[meta_bytes]                    where it comes from: JSON, for readers
 *              (zero padding to a multiple of 64)
 *              struct trace_op[op_count]           thread after thread
 *              uint32_t[op_count], padded to 64    gaps, where they were recorded
 *              uint32_t[op_count]                  touched bytes, where they were recorded
 *
 * Little-endian; nothing follows the last section. A gap is the program's own time between the
 * end of its thread's last call, or its birth, and this operation (trace_gap_ns()). Touched is
 * how many bytes of a new or resized object, from its first, the program touches before it
 * resizes or frees it.
 *
 * Invariants, checked by trace_open() before anything is replayed:
 *   - in trace order, an allocation and a sync find their slot empty; a realloc, a write
 *     and a free find it filled; at the end every slot is empty, so that a trace can
 *     be repeated;
 *   - its steady part finds all slots as it leaves them, so that it can be
 *     repeated too;
 *   - a slot's operations carry their rank in `epoch`: 0, 1, 2, ...;
 *   - an aligned object is not reallocated, and nothing is reallocated to nothing;
 *   - an object is used under the tag that it was allocated with; a foreign free
 *     comes from another domain than the object's;
 *   - no more bytes are touched than the object has, and of no object but a new or resized one.
 */
#ifndef ALLOCPHASE_TRACE_H
#define ALLOCPHASE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_MAGIC "ALCPTRC\n"
#define TRACE_VERSION 3u

#define TRACE_MAX_THREADS 4096u
#define TRACE_MIN_ALIGN_LOG2 4  /* 16 bytes */
#define TRACE_MAX_ALIGN_LOG2 21 /* 2 MiB */
#define TRACE_MAX_WORK_NS 1000000u
#define TRACE_MAX_META_BYTES 1048576u

enum trace_kind {
  TRACE_MALLOC = 0,
  TRACE_CALLOC = 1,
  TRACE_REALLOC = 2,
  TRACE_ALIGNED_ALLOC = 3,
  TRACE_FREE = 4,
  TRACE_FREE_FOREIGN = 5, /* a free tried from another domain: must be refused */
  TRACE_WRITE = 6,        /* `size` times write the first word of the object */
  TRACE_SYNC = 7          /* no call: of an empty slot, whose hand-over orders threads */
};
#define TRACE_KINDS 8
extern const char *const trace_kind_names[TRACE_KINDS];

/* The parts of a trace, each of them begun when all threads have done the one before. A
 * trace without a steady part is repeated as a whole: it begins and ends with empty slots. */
enum trace_part {
  TRACE_BUILD,  /* what is there before the program settles */
  TRACE_STEADY, /* ends with the slots filled that it began with, under the same tags */
  TRACE_DRAIN   /* the last frees */
};
#define TRACE_PARTS 3

/* What the program does to a new object (and to the new part of a grown one). */
enum trace_touch {
  TRACE_TOUCH_NONE = 0,
  TRACE_TOUCH_FIRST = 1, /* its first byte */
  TRACE_TOUCH_PAGES = 2, /* one byte in each 4 KiB, the first and the last byte */
  TRACE_TOUCH_ALL = 3,     /* every byte */
  TRACE_TOUCH_RECORDED = 4 /* as TRACE_TOUCH_PAGES, of as many bytes as were recorded */
};

/* Hand-over between threads, set by the writer of a threaded trace. */
#define TRACE_WAIT 0x01u /* the slot's previous operation is another thread's */
#define TRACE_POST 0x02u /* the slot's next operation is another thread's */

struct trace_op {
  uint32_t slot;
  uint32_t size;      /* bytes asked for; TRACE_WRITE: repetitions; frees, syncs: 0 */
  uint32_t epoch;     /* how many operations on this slot came before */
  uint16_t tag;       /* index into the tag table */
  uint8_t kind : 4;   /* enum trace_kind */
  uint8_t flags : 4;  /* TRACE_WAIT, TRACE_POST */
  uint8_t align_log2; /* TRACE_ALIGNED_ALLOC: 4 to 21; else 0 */
};

struct trace_thread {
  uint64_t first_op;
  uint64_t op_count;
  uint64_t build_ops;   /* its first operations */
  uint64_t drain_ops;   /* its last ones; those in between are of the steady part */
  uint32_t predecessor; /* starts when that thread has ended; none: TRACE_NO_THREAD */
  uint32_t lane;        /* threads of one lane follow each other on one CPU */
};

#define TRACE_NO_THREAD 0xffffffffu

struct trace_tag {
  uint32_t class_id;
  uint32_t domain;
  double hint_hz;
};

struct trace_header {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes;
  uint8_t digest[32]; /* SHA-256 of the file with this field zeroed */
  uint64_t op_count;
  uint64_t peak_live_bytes;
  uint64_t peak_live_op; /* first operation after which the peak stands */
  uint32_t thread_count;
  uint32_t slot_count;
  uint32_t tag_count;
  uint32_t touch; /* enum trace_touch */
  uint64_t thread_offset;
  uint64_t tag_offset;
  uint64_t op_offset;
  uint32_t work_ns; /* of the program's own after each operation (work.h), where it is timed */
  uint32_t threads_end;    /* 1: threads end within the trace, whether or not one follows them */
  uint64_t gap_offset;     /* 0: no gaps were recorded */
  uint64_t touched_offset; /* 0: what was touched was not */
  uint64_t meta_bytes;     /* behind the tags */
  uint32_t paced;          /* 1: a replay waits as long as was recorded, where it is timed */
  uint8_t reserved[44];
};

_Static_assert(sizeof(struct trace_op) == 16, "trace/records.py: OP");
_Static_assert(sizeof(struct trace_thread) == 40, "trace/records.py: THREAD");
_Static_assert(sizeof(struct trace_tag) == 16, "trace/records.py: TAG");
_Static_assert(sizeof(struct trace_header) == 192, "trace/records.py: HEADER");
_Static_assert(offsetof(struct trace_op, align_log2) == 15, "trace/records.py: OP");

/* A recorded gap: nanoseconds below TRACE_GAP_COARSE, of two seconds; above, microseconds beyond
 * those two seconds. The longest, 38 minutes, stands for any longer one. */
#define TRACE_GAP_COARSE 0x80000000u
static inline uint64_t trace_gap_ns(uint32_t gap) {
  if (gap < TRACE_GAP_COARSE) return gap;
  return TRACE_GAP_COARSE + (uint64_t)(gap - TRACE_GAP_COARSE) * 1000u;
}

/* A mapped and validated trace. */
struct trace {
  const struct trace_header *header;
  const struct trace_thread *threads;
  const struct trace_tag *tags;
  const struct trace_op *ops;
  const uint32_t *gaps;    /* of each operation, where it is paced; or NULL */
  const uint32_t *touched; /* of each operation, where it was recorded; or NULL */
  size_t file_bytes;
  uint64_t part_ops[TRACE_PARTS];     /* of all threads */
  uint32_t *part_epochs[TRACE_PARTS]; /* of each slot when the part begins; threads only */
};

/* A range of one thread's operations. */
struct trace_range {
  uint64_t begin, end;
};

static inline struct trace_range trace_range(const struct trace *trace, uint32_t thread,
                                             enum trace_part part) {
  const struct trace_thread *of = &trace->threads[thread];
  uint64_t steady = of->build_ops, drain = of->op_count - of->drain_ops;
  if (part == TRACE_BUILD) return (struct trace_range){0, steady};
  if (part == TRACE_STEADY) return (struct trace_range){steady, drain};
  return (struct trace_range){drain, of->op_count};
}

/* Whether threads are born and end within the trace (team.h: mortal). */
bool trace_threads_end(const struct trace *trace);

/* What can be repeated: the steady part, or all of it. */
static inline enum trace_part trace_first_repeated(const struct trace *trace) {
  return trace->part_ops[TRACE_STEADY] ? TRACE_STEADY : TRACE_BUILD;
}
static inline enum trace_part trace_last_repeated(const struct trace *trace) {
  return trace->part_ops[TRACE_STEADY] ? TRACE_STEADY : TRACE_DRAIN;
}
static inline uint64_t trace_repeated_ops(const struct trace *trace) {
  return trace->part_ops[TRACE_STEADY] ? trace->part_ops[TRACE_STEADY]
                                       : trace->header->op_count;
}

/* How often a probe that looks at each call repeats it after the first replay: as often as makes
 * this many, so that a far quantile has calls beyond it, and `most` times at most; less often if
 * it would write to the pages of more bytes than this, since what is waited for then is the kernel.
 * The same in every such probe of a run: what one sees of a call is joined with what another
 * sees. */
#define TRACE_WARM_OPS 200000u
#define TRACE_WARM_BYTES (UINT64_C(2) << 30)
#define TRACE_MAX_WARM 50u
uint64_t trace_warm_replays(const struct trace *trace, uint64_t most);

/* How many operations are replayed then (worker_place()). */
static inline uint64_t trace_places(const struct trace *trace, uint64_t warm) {
  return trace->header->op_count + warm * trace_repeated_ops(trace);
}

/* Maps `path` and checks all of it. Returns NULL, or one line that says what is
 * wrong with the file. */
const char *trace_open(struct trace *trace, const char *path);

#endif
