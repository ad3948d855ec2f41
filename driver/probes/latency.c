/* latency.c: every operation's own time: of the first replay over each part, which finds
 * all cold, and of the warm replays (trace.h) apart from it.
 *
 * Up to raw_ops operations each sample is kept (latency.bin: uint32 call ticks of each
 * place (worker.h), then uint32 touch ticks). More are counted into histograms
 * (histogram.bin: calls, then touches; thread_histogram.bin: each thread's calls of all
 * kinds; in each first the first replay, then the warm ones), and of the slowest calls the
 * OUTLIERS longest of either are kept with their place (outliers.bin), so that memory does
 * not grow with the trace and no spike loses its name.
 *
 * Where the driver puts an allocator behind a lock, a call's time has the wait for
 * the lock in it: that is what a program sees that does the same. Waiting for
 * another thread to hand an object over is the program's own, and in no call.
 *
 * After a slow call the kernel is asked what happened meanwhile (slow.h): page faults, and
 * whether the thread slept or was put aside. None of these fits into a shorter call, nor between
 * two calls that follow each other closely, the program's own work (work.h) aside. The asking
 * lies outside the timed part (slow.bin). What is slow is measured at the start: less than the
 * cheapest page fault of this machine.
 */
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/system.h"
#include "probes/histogram.h"
#include "probes/probes.h"
#include "probes/slow.h"
#include "replay.h"
#include "team.h"

#define OUTLIERS 65536u
#define SLOW_CALLS (1u << 20)
/* How far below the cheapest page fault a call is slow. */
#define SLOW_SHARE 0.7
/* Where faults cost next to nothing: nearly every plain call lies below. */
#define LEAST_SLOW_NS 100.0

struct outlier {
  uint64_t op; /* its place (worker.h), as below */
  uint32_t ticks;
  uint32_t size;
  uint16_t thread;
  uint8_t kind;
  uint8_t padding[5];
};

struct slow_call {
  uint64_t op;
  uint32_t faults;
  uint16_t sleeps;      /* voluntary switches: it waited for something. At least 1
                           where it met another thread at the driver's lock */
  uint16_t preemptions; /* involuntary ones: somebody else ran */
};

_Static_assert(sizeof(struct outlier) == 24, "probe/arrays.py: OUTLIER");
_Static_assert(sizeof(struct slow_call) == 16, "probe/arrays.py: SLOW_CALL");

struct slow_calls {
  uint32_t most;
  _Atomic uint32_t count; /* may pass `most`: the rest is not kept */
  struct slow_call calls[];
};

/* A binary heap with the shortest on top: it is the one to give way. */
struct outliers {
  struct outlier heap[OUTLIERS];
  uint32_t count;
};

enum heat { COLD, WARM };
#define HEATS 2

/* A thread of a long trace hands its tables on to one that starts when it has
 * ended: as many are needed as threads can run at once. */
struct tables {
  struct histogram calls;
  struct histogram touches;
  struct outliers outliers;
};

/* On lines of its own: two threads that shared one would time each other. */
struct latency_thread {
  _Alignas(64) uint64_t begin_ticks; /* of what is timed next, or the last reading */
  uint32_t *calls; /* raw: by place; else NULL */
  uint32_t *touches;
  struct tables *tables; /* of the first replay and of the warm ones, as is the histogram */
  bool inherited; /* the tables are counted with the thread that had them first */
  bool handed_on;
  uint64_t *histogram[HEATS]; /* HISTOGRAM_BUCKETS of its own, whatever the kind and size */
  struct slow_calls *slow_calls;
  uint32_t slow_ticks;
  uint64_t gap_ticks; /* between two calls: the same and the program's work */
  struct rusage seen; /* when last asked */
};

static inline struct latency_thread *own_of(const struct worker *worker) {
  return (struct latency_thread *)worker->probe + worker->thread;
}

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

static void ask_why(struct latency_thread *own, uint64_t place, bool keep) {
  struct rusage now;
  getrusage(RUSAGE_THREAD, &now);
  long faults = now.ru_minflt + now.ru_majflt - own->seen.ru_minflt - own->seen.ru_majflt;
  long sleeps = now.ru_nvcsw - own->seen.ru_nvcsw;
  if (subject_waited && sleeps == 0) sleeps = 1;
  long preemptions = now.ru_nivcsw - own->seen.ru_nivcsw;
  own->seen = now;
  if (!keep || faults + sleeps + preemptions == 0) return;
  uint32_t at = atomic_fetch_add(&own->slow_calls->count, 1);
  if (at < own->slow_calls->most)
    own->slow_calls->calls[at] =
        (struct slow_call){place, (uint32_t)faults, (uint16_t)sleeps, (uint16_t)preemptions};
}

static inline void begin_call(struct worker *worker) {
  struct latency_thread *own = own_of(worker);
  if (ticks_begin() - own->begin_ticks > own->gap_ticks)
    ask_why(own, 0, false);
  own->begin_ticks = ticks_begin();
}

static inline void record_call(struct worker *worker, const struct trace_op *op, uint64_t end) {
  struct latency_thread *own = own_of(worker);
  uint32_t ticks = ticks_clamp(end - own->begin_ticks);
  uint64_t place = worker_place(worker, op);
  if (own->calls) {
    own->calls[place] = ticks;
  } else {
    enum heat heat = worker_is_warm(worker) ? WARM : COLD;
    histogram_add(&own->tables[heat].calls, op, ticks);
    own->histogram[heat][histogram_bucket(ticks)]++;
    outliers_offer(&own->tables[heat].outliers,
                   (struct outlier){.op = place,
                                    .ticks = ticks,
                                    .size = op->size,
                                    .thread = (uint16_t)worker->thread,
                                    .kind = (uint8_t)histogram_kind(op)});
  }
  if (ticks > own->slow_ticks) ask_why(own, place, true);
  own->begin_ticks = ticks_begin(); /* the touch follows */
}

static inline void record_touch(struct worker *worker, const struct trace_op *op, uint64_t end) {
  struct latency_thread *own = own_of(worker);
  uint32_t ticks = ticks_clamp(end - own->begin_ticks);
  if (own->touches) own->touches[worker_place(worker, op)] = ticks;
  else histogram_add(&own->tables[worker_is_warm(worker)].touches, op, ticks);
}

#define REPLAY_ENTER(worker, op) begin_call(worker)
#define REPLAY_LEAVE(worker, op) record_call(worker, op, ticks_end())
#define REPLAY_TOUCHED(worker, op) record_touch(worker, op, ticks_end())
#define REPLAY_WORKS

#include "replay_both.inc"

static void measure_raw(struct session *session, struct latency_thread *threads, uint64_t warm) {
  const struct trace *trace = &session->trace;
  uint64_t places = trace_places(trace, warm);
  uint32_t *calls = take_pages(2 * places * sizeof *calls);
  for (uint32_t t = 0; t < trace->header->thread_count; t++) {
    threads[t].calls = calls;
    threads[t].touches = calls + places;
  }
  team_run_warm(session, replay_part, threads, warm);
  write_file(session_path(session, "latency.bin"), calls, 2 * places * sizeof *calls);
}

static void merge(struct histogram *into, const struct histogram *from) {
  uint64_t *total = &into->count[0][0][0];
  const uint64_t *part = &from->count[0][0][0];
  for (size_t i = 0; i < sizeof *into / sizeof *total; i++) total[i] += part[i];
}

static void merge_tables(struct tables *into, const struct tables *from) {
  merge(&into->calls, &from->calls);
  merge(&into->touches, &from->touches);
  for (uint32_t i = 0; i < from->outliers.count; i++)
    outliers_offer(&into->outliers, from->outliers.heap[i]);
}

static void take_tables(const struct trace *trace, struct latency_thread *threads,
                        uint64_t *histograms) {
  uint32_t count = trace->header->thread_count;
  for (uint32_t t = 0; t < count; t++) {
    uint32_t before = trace->threads[t].predecessor;
    for (enum heat heat = COLD; heat <= WARM; heat++)
      threads[t].histogram[heat] = histograms + (heat * count + t) * HISTOGRAM_BUCKETS;
    threads[t].inherited = before != TRACE_NO_THREAD && !threads[before].handed_on;
    if (threads[t].inherited) threads[before].handed_on = true;
    threads[t].tables = threads[t].inherited ? threads[before].tables
                                             : take_pages(HEATS * sizeof(struct tables));
  }
}

static void measure_histograms(struct session *session, struct latency_thread *threads,
                               uint64_t warm) {
  uint32_t count = session->trace.header->thread_count;
  size_t histograms_bytes = HEATS * count * HISTOGRAM_BUCKETS * sizeof(uint64_t);
  uint64_t *histograms = take_pages(histograms_bytes);
  take_tables(&session->trace, threads, histograms);
  team_run_warm(session, replay_part, threads, warm);
  struct tables *all = threads[0].tables;
  for (uint32_t t = 1; t < count; t++)
    for (enum heat heat = COLD; heat <= WARM && !threads[t].inherited; heat++)
      merge_tables(&all[heat], &threads[t].tables[heat]);
  struct tables *cold = &all[COLD], *hot = &all[WARM];
  struct part counts[] = {
      {&cold->calls, sizeof cold->calls},
      {&cold->touches, sizeof cold->touches},
      {&hot->calls, sizeof hot->calls},
      {&hot->touches, sizeof hot->touches},
  };
  struct part outliers[] = {
      {cold->outliers.heap, cold->outliers.count * sizeof *cold->outliers.heap},
      {hot->outliers.heap, hot->outliers.count * sizeof *hot->outliers.heap},
  };
  write_parts(session_path(session, "histogram.bin"), counts, 4);
  write_file(session_path(session, "thread_histogram.bin"), histograms, histograms_bytes);
  write_parts(session_path(session, "outliers.bin"), outliers, 2);
}

void probe_latency(struct session *session) {
  const struct trace_header *header = session->trace.header;
  uint64_t warm = trace_warm_replays(&session->trace, session->options.warm_replays);
  uint64_t places = trace_places(&session->trace, warm);
  bool raw = places <= session->options.raw_ops;
  struct latency_thread *threads = take_pages(header->thread_count * sizeof *threads);
  uint32_t most = places < SLOW_CALLS ? (uint32_t)places : SLOW_CALLS;
  struct slow_calls *slow = take_pages(sizeof *slow + most * sizeof slow->calls[0]);
  slow->most = most;
  session->times = true;
  double slow_ns = SLOW_SHARE * slow_cheapest_fault_ticks() * 1e9 / session->clock.hz;
  if (slow_ns < LEAST_SLOW_NS) slow_ns = LEAST_SLOW_NS;
  for (uint32_t t = 0; t < header->thread_count; t++) {
    threads[t].slow_calls = slow;
    threads[t].slow_ticks = (uint32_t)(slow_ns * session->clock.hz / 1e9);
    threads[t].gap_ticks = (uint64_t)((slow_ns + session->work.ns) * session->clock.hz / 1e9);
  }
  session_start(session);
  if (raw) measure_raw(session, threads, warm);
  else measure_histograms(session, threads, warm);
  uint32_t seen = atomic_load(&slow->count);
  uint32_t kept = seen < most ? seen : most;
  write_file(session_path(session, "slow.bin"), slow->calls, kept * sizeof *slow->calls);
  json_open(&session->json, "latency");
  json_double(&session->json, "slow_ns", slow_ns);
  json_integer(&session->json, "slow_calls_dropped", seen - kept);
  json_string(&session->json, "samples", raw ? "raw" : "histogram");
  json_integer(&session->json, "warm_replays", warm);
  json_close(&session->json);
  session_stop(session);
}
