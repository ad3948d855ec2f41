/* latency.c: every operation's own time, in one cold pass.
 *
 * Up to raw_ops operations each sample is kept (latency.bin: uint32 call ticks
 * of every operation, then uint32 touch ticks). A longer trace is counted into
 * histograms (histogram.bin: calls, then touches), and of its slowest calls the
 * OUTLIERS longest are kept with their operation (outliers.bin), so that memory
 * does not grow with the trace and no spike loses its name.
 *
 * After a call that took longer than SLOW_NS the kernel is asked what happened
 * meanwhile: page faults, and whether the thread slept or was put aside. None of
 * these fits into a shorter call, so what is new since the last slow one belongs
 * to this one. The asking lies outside the timed part (slow.bin).
 */
#include <stdatomic.h>
#include <sys/resource.h>

#include "histogram.h"
#include "replay.h"
#include "system.h"
#include "team.h"

#define OUTLIERS 65536u
#define SLOW_CALLS (1u << 20)
/* Below the cheapest page fault of any machine, above nearly every plain call. */
#define SLOW_NS 400u

struct outlier {
  uint64_t op; /* index in the file: thread after thread */
  uint32_t ticks;
  uint32_t size;
  uint16_t thread;
  uint8_t kind;
  uint8_t padding[5];
};

struct slow_call {
  uint64_t op;
  uint32_t faults;
  uint16_t sleeps;      /* voluntary switches: it waited for something */
  uint16_t preemptions; /* involuntary ones: somebody else ran */
};

_Static_assert(sizeof(struct outlier) == 24, "samples.py: OUTLIER");
_Static_assert(sizeof(struct slow_call) == 16, "samples.py: SLOW_CALL");

struct slow_calls {
  _Atomic uint32_t count; /* may pass SLOW_CALLS: the rest is not kept */
  struct slow_call calls[SLOW_CALLS];
};

/* A binary heap with the shortest on top: it is the one to give way. */
struct outliers {
  struct outlier heap[OUTLIERS];
  uint32_t count;
};

/* On lines of its own: two threads that shared one would time each other. */
struct latency_thread {
  _Alignas(64) uint64_t begin_ticks;
  uint32_t *calls; /* raw: this thread's part; else NULL */
  uint32_t *touches;
  struct histogram *call_histogram;
  struct histogram *touch_histogram;
  struct outliers *outliers;
  struct slow_calls *slow_calls;
  uint32_t slow_ticks;
  struct rusage seen; /* at the last slow call or touch */
};

static void outliers_sift_down(struct outliers *outliers, struct outlier item) {
  uint32_t hole = 0;
  for (;;) {
    uint32_t child = 2 * hole + 1;
    if (child >= outliers->count) break;
    if (child + 1 < outliers->count &&
        outliers->heap[child + 1].ticks < outliers->heap[child].ticks)
      child++;
    if (outliers->heap[child].ticks >= item.ticks) break;
    outliers->heap[hole] = outliers->heap[child];
    hole = child;
  }
  outliers->heap[hole] = item;
}

static void outliers_offer(struct outliers *outliers, struct outlier item) {
  if (outliers->count == OUTLIERS) {
    if (item.ticks > outliers->heap[0].ticks) outliers_sift_down(outliers, item);
    return;
  }
  uint32_t hole = outliers->count++;
  while (hole > 0 && outliers->heap[(hole - 1) / 2].ticks > item.ticks) {
    outliers->heap[hole] = outliers->heap[(hole - 1) / 2];
    hole = (hole - 1) / 2;
  }
  outliers->heap[hole] = item;
}

static uint64_t file_index(const struct worker *worker, const struct trace_op *op) {
  return (uint64_t)(op - worker->session->trace.ops);
}

static void ask_why(struct latency_thread *own, uint64_t op, bool keep) {
  struct rusage now;
  getrusage(RUSAGE_THREAD, &now);
  long faults = now.ru_minflt + now.ru_majflt - own->seen.ru_minflt - own->seen.ru_majflt;
  long sleeps = now.ru_nvcsw - own->seen.ru_nvcsw;
  long preemptions = now.ru_nivcsw - own->seen.ru_nivcsw;
  own->seen = now;
  if (!keep || faults + sleeps + preemptions == 0) return;
  uint32_t at = atomic_fetch_add(&own->slow_calls->count, 1);
  if (at < SLOW_CALLS)
    own->slow_calls->calls[at] =
        (struct slow_call){op, (uint32_t)faults, (uint16_t)sleeps, (uint16_t)preemptions};
}

static inline void record_call(struct worker *worker, const struct trace_op *op, uint64_t end) {
  struct latency_thread *own = worker->probe;
  uint32_t ticks = ticks_clamp(end - own->begin_ticks);
  uint64_t index = file_index(worker, op);
  if (own->calls) {
    own->calls[op - worker->ops] = ticks;
  } else {
    histogram_add(own->call_histogram, op, ticks);
    outliers_offer(own->outliers,
                   (struct outlier){.op = index,
                                    .ticks = ticks,
                                    .size = op->size,
                                    .thread = (uint16_t)worker->thread,
                                    .kind = (uint8_t)histogram_kind(op)});
  }
  if (ticks > own->slow_ticks) ask_why(own, index, true);
  own->begin_ticks = ticks_begin(); /* the touch follows */
}

static inline void record_touch(struct worker *worker, const struct trace_op *op, uint64_t end) {
  struct latency_thread *own = worker->probe;
  uint32_t ticks = ticks_clamp(end - own->begin_ticks);
  if (own->touches) own->touches[op - worker->ops] = ticks;
  else histogram_add(own->touch_histogram, op, ticks);
  if (ticks > own->slow_ticks) ask_why(own, file_index(worker, op), false);
}

#define REPLAY_ENTER(worker, op) \
  (((struct latency_thread *)(worker)->probe)->begin_ticks = ticks_begin())
#define REPLAY_LEAVE(worker, op) record_call(worker, op, ticks_end())
#define REPLAY_TOUCHED(worker, op) record_touch(worker, op, ticks_end())

#define REPLAY_NAME replay_alone
#define REPLAY_THREADED 0
#include "replay.inc"

#define REPLAY_NAME replay_threaded
#define REPLAY_THREADED 1
#define REPLAY_WAIT(worker, word, op) handover_wait(word, (op)->epoch)
#include "replay.inc"

static void run_thread(struct worker *worker) {
  struct latency_thread *threads = worker->probe;
  worker->probe = &threads[worker->thread];
  getrusage(RUSAGE_THREAD, &threads[worker->thread].seen);
  if (worker->session->trace.header->thread_count == 1) replay_alone(worker, 0, worker->count);
  else replay_threaded(worker, 0, worker->count);
}

static void measure_raw(struct session *session, struct latency_thread *threads) {
  uint64_t ops = session->trace.header->op_count;
  uint32_t *calls = take_pages(2 * ops * sizeof *calls);
  for (uint32_t t = 0; t < session->trace.header->thread_count; t++) {
    threads[t].calls = calls + session->trace.threads[t].first_op;
    threads[t].touches = threads[t].calls + ops;
  }
  team_run(session, run_thread, threads);
  write_file(session_path(session, "latency.bin"), calls, 2 * ops * sizeof *calls);
}

static void merge(struct histogram *into, const struct histogram *from) {
  uint64_t *total = &into->count[0][0][0];
  const uint64_t *part = &from->count[0][0][0];
  for (size_t i = 0; i < sizeof *into / sizeof *total; i++) total[i] += part[i];
}

/* One set of tables a thread of the trace: no two threads write to one line. */
static void measure_histograms(struct session *session, struct latency_thread *threads) {
  uint32_t count = session->trace.header->thread_count;
  for (uint32_t t = 0; t < count; t++) {
    threads[t].call_histogram = take_pages(sizeof(struct histogram));
    threads[t].touch_histogram = take_pages(sizeof(struct histogram));
    threads[t].outliers = take_pages(sizeof(struct outliers));
  }
  team_run(session, run_thread, threads);
  struct outliers *all = threads[0].outliers;
  for (uint32_t t = 1; t < count; t++) {
    merge(threads[0].call_histogram, threads[t].call_histogram);
    merge(threads[0].touch_histogram, threads[t].touch_histogram);
    for (uint32_t i = 0; i < threads[t].outliers->count; i++)
      outliers_offer(all, threads[t].outliers->heap[i]);
  }
  struct part parts[] = {{threads[0].call_histogram, sizeof(struct histogram)},
                         {threads[0].touch_histogram, sizeof(struct histogram)}};
  write_parts(session_path(session, "histogram.bin"), parts, 2);
  write_file(session_path(session, "outliers.bin"), all->heap, all->count * sizeof *all->heap);
}

void probe_latency(struct session *session) {
  const struct trace_header *header = session->trace.header;
  bool raw = header->op_count <= session->options.raw_ops;
  struct latency_thread *threads = take_pages(header->thread_count * sizeof *threads);
  struct slow_calls *slow = take_pages(sizeof *slow);
  for (uint32_t t = 0; t < header->thread_count; t++) {
    threads[t].slow_calls = slow;
    threads[t].slow_ticks = (uint32_t)(SLOW_NS * session->clock.hz / 1e9);
  }
  session_start(session);
  if (raw) measure_raw(session, threads);
  else measure_histograms(session, threads);
  uint32_t seen = atomic_load(&slow->count);
  uint32_t kept = seen < SLOW_CALLS ? seen : SLOW_CALLS;
  write_file(session_path(session, "slow.bin"), slow->calls, kept * sizeof *slow->calls);
  json_open(&session->json, "latency");
  json_integer(&session->json, "slow_calls_dropped", seen - kept);
  json_string(&session->json, "samples", raw ? "raw" : "histogram");
  json_close(&session->json);
  session_stop(session);
}
