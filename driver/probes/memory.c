/* memory.c: what the trace's live bytes cost in memory, in one cold pass as fast as the
 * timed ones: many allocators give memory back by the clock, and a pass that is slowed
 * down by its own readings would see another allocator.
 *
 * So there are few readings. Resident memory is read at the trace's peak of live bytes,
 * when every object is freed, and after fini, which only a plug-in has; what it was in
 * between, and inside of a call that holds an old and a new block at once, is the
 * kernel's high-water mark (resident.h). Mapped memory has no such mark: it is read at
 * READINGS equal steps of each thread's operations, some microseconds each. All count
 * from just before init; what is resident by then is told apart (base_rss_bytes): of a
 * preload, it has what that allocator took before main. The driver's own tables are
 * resident before.
 *
 * With threads the peak of live bytes depends on how far they are apart, so this run's
 * own is counted beside the trace's. Each thread adds what it has gained in steps: a
 * common counter at each operation would time them anew. The sum is good to one step
 * a thread.
 *
 * Faults are those of the threads of the trace, the program's first touches included.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base/system.h"
#include "conditions.h"
#include "probes/probes.h"
#include "probes/resident.h"
#include "replay.h"
#include "team.h"

#define READINGS 64
#define LIVE_STEPS 1024 /* of the trace's peak: what a thread may keep to itself */

struct memory_probe {
  struct footprint base;
  struct footprint at_peak; /* of live bytes; one thread only */
  uint64_t live_step;
  _Atomic int64_t live_bytes;
  _Atomic int64_t peak_live_bytes;
  _Atomic uint64_t peak_mapped_bytes;
  _Atomic uint64_t faults;
};

/* ---- Peaks over all threads ----------------------------------------------------------- */

static void raise_peak(_Atomic int64_t *peak, int64_t value) {
  int64_t seen = atomic_load_explicit(peak, memory_order_relaxed);
  while (value > seen && !atomic_compare_exchange_weak(peak, &seen, value)) continue;
}

static void read_mapped(struct memory_probe *probe) {
  uint64_t now = resident_mapped_bytes();
  uint64_t seen = atomic_load(&probe->peak_mapped_bytes);
  while (now > seen && !atomic_compare_exchange_weak(&probe->peak_mapped_bytes, &seen, now))
    continue;
}

static _Thread_local int64_t gained_bytes; /* and not yet told */

static void tell_gain(struct memory_probe *probe) {
  int64_t live = atomic_fetch_add(&probe->live_bytes, gained_bytes) + gained_bytes;
  raise_peak(&probe->peak_live_bytes, live);
  gained_bytes = 0;
}

static inline void account(struct worker *worker, const struct cell *cell,
                           const struct trace_op *op, uint32_t old_size) {
  struct memory_probe *probe = worker->probe;
  if (op->kind > TRACE_FREE) return;
  gained_bytes += op->kind == TRACE_FREE ? -(int64_t)old_size : (int64_t)cell->size - old_size;
  int64_t step = (int64_t)probe->live_step;
  if (gained_bytes > step || gained_bytes < -step) tell_gain(probe);
}

/* ---- The pass ------------------------------------------------------------------------- */

/* One thread: the trace knows its peak. */
#define REPLAY_NAME replay_alone
#define REPLAY_THREADED 0
#include "replay.inc"

#undef REPLAY_AFTER
#define REPLAY_AFTER(worker, cell, op, old_size) account(worker, cell, op, old_size)
#define REPLAY_NAME replay_threaded
#define REPLAY_THREADED 1
#define REPLAY_WAIT(worker, word, op) handover_wait(word, (op)->epoch)
#include "replay.inc"

/* From `at` to `end`, with readings between the steps of the thread's operations. */
static void replay_steps(struct worker *worker, uint64_t at, uint64_t end) {
  struct memory_probe *probe = worker->probe;
  bool alone = worker->session->trace.header->thread_count == 1;
  uint64_t step = worker->session->trace.threads[worker->thread].op_count / READINGS + 1;
  while (at < end) {
    uint64_t next = at - at % step + step;
    if (next > end) next = end;
    uint64_t faults = thread_faults();
    if (alone) replay_alone(worker, at, next);
    else replay_threaded(worker, at, next);
    at = next;
    atomic_fetch_add(&probe->faults, thread_faults() - faults);
    read_mapped(probe);
  }
}

static void run_part(struct worker *worker) {
  struct memory_probe *probe = worker->probe;
  const struct trace_header *header = worker->session->trace.header;
  bool alone = header->thread_count == 1;
  uint64_t begin = worker->begin, peak = header->peak_live_op + 1;
  if (alone && worker->begin < peak && peak <= worker->end) {
    replay_steps(worker, begin, peak);
    probe->at_peak = resident_read();
    begin = peak;
  }
  replay_steps(worker, begin, worker->end);
  if (!alone) tell_gain(probe);
}

/* ---- The result ------------------------------------------------------------------------ */

/* What the counters of the mark say can lie some pages below an exact reading. */
static uint64_t peak_rss(const struct memory_probe *probe, struct mark before, struct mark after,
                         struct footprint after_free) {
  uint64_t peak = resident_growth(probe->at_peak.rss_bytes, probe->base.rss_bytes);
  uint64_t end = resident_growth(after_free.rss_bytes, probe->base.rss_bytes);
  uint64_t files = resident_growth(after.file_bytes, before.file_bytes);
  uint64_t marked = resident_growth(after.peak_bytes, before.peak_bytes + files);
  if (end > peak) peak = end;
  return marked > peak ? marked : peak;
}

static void report_growth(struct json *json, const char *mapped_key, const char *rss_key,
                          const struct memory_probe *probe, struct footprint now) {
  json_integer(json, mapped_key, resident_growth(now.mapped_bytes, probe->base.mapped_bytes));
  json_integer(json, rss_key, resident_growth(now.rss_bytes, probe->base.rss_bytes));
}

static void report_teardown(struct session *session, const struct memory_probe *probe) {
  static const char mapped[] = "mapped_after_teardown_bytes", rss[] = "rss_after_teardown_bytes";
  if (session->options.subject == SUBJECT_PLUGIN) {
    report_growth(&session->json, mapped, rss, probe, resident_read());
  } else { /* the process's own malloc is never taken down */
    json_null(&session->json, mapped);
    json_null(&session->json, rss);
  }
}

void probe_memory(struct session *session) {
  static struct memory_probe probe;
  struct json *json = &session->json;
  const struct trace_header *header = session->trace.header;
  bool exact = resident_prepare();
  probe.live_step = header->peak_live_bytes / LIVE_STEPS;
  team_prepare(session);
  resident_touch_own_code();
  if (!resident_mark_reset())
    conditions_lack("peaks of memory inside of calls", "/proc/self/clear_refs cannot be written");
  probe.base = resident_read();
  struct mark before = resident_mark();

  session_start(session);
  uint64_t pass_ns = team_run_once(session, run_part, &probe);
  struct mark after = resident_mark();
  struct footprint after_free = resident_read();
  session_stop(session);

  json_open(json, "memory");
  json_string(json, "rss_source", exact ? "smaps_rollup" : "statm");
  json_integer(json, "pass_ns", pass_ns);
  json_integer(json, "base_rss_bytes", probe.base.rss_bytes);
  json_integer(json, "peak_live_bytes", header->peak_live_bytes);
  json_integer(json, "run_peak_live_bytes",
               header->thread_count == 1 ? header->peak_live_bytes
                                         : (uint64_t)atomic_load(&probe.peak_live_bytes));
  json_integer(json, "peak_mapped_bytes",
               resident_growth(atomic_load(&probe.peak_mapped_bytes), probe.base.mapped_bytes));
  json_integer(json, "peak_rss_bytes", peak_rss(&probe, before, after, after_free));
  report_growth(json, "mapped_after_free_bytes", "rss_after_free_bytes", &probe, after_free);
  json_integer(json, "lazily_freed_bytes",
               resident_growth(after_free.lazy_bytes, probe.base.lazy_bytes));
  report_teardown(session, &probe);
  json_integer(json, "page_faults", atomic_load(&probe.faults));
  json_close(json);
}
