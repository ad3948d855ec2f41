/* memory.c: what the trace's live bytes cost in memory, over op time, and which
 * operation took which page fault.
 *
 * Resident memory is read from /proc/self/smaps_rollup, which walks the page
 * tables and is exact (statm is a sum of per-CPU counters, and runs late). It is
 * Anonymous + Pss_Shmem: heap pages, without the code that happens to be paged
 * in. Mapped memory is the data size of /proc/self/statm: writable private
 * mappings, without reservations that cannot be touched. Both count from just
 * before init. The driver's own tables are resident before that.
 *
 * Checkpoints lie at equal steps of op time, and one at the peak of live bytes.
 * Two readings more tell what is given back: when every object is freed, and
 * after fini, which only a plug-in has.
 *
 * The peak of live bytes is the trace's own. With threads it is the peak of the
 * order in which the generator wrote the operations down: one possible run, and
 * the same for every allocator and repeat. How far threads are apart differs from
 * run to run, and with it what is live at a checkpoint.
 *
 * Files: checkpoints.bin (struct checkpoint), faults.bin (struct fault_event).
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "progress.h"
#include "replay.h"
#include "system.h"
#include "team.h"
#include "text.h"

#define FAULT_EVENTS (1u << 20)
#define STATM "/proc/self/statm"
#define ROLLUP "/proc/self/smaps_rollup"

struct checkpoint {
  uint64_t op; /* operations done, by all threads */
  uint64_t live_bytes;
  uint64_t mapped_bytes;
  uint64_t rss_bytes;
};

struct fault_event {
  uint32_t op; /* within its thread */
  uint32_t thread;
  uint32_t call_faults;
  uint32_t touch_faults;
};

_Static_assert(sizeof(struct checkpoint) == 32, "samples.py: CHECKPOINT");
_Static_assert(sizeof(struct fault_event) == 16, "samples.py: FAULT_EVENT");

struct footprint {
  uint64_t mapped_bytes;
  uint64_t rss_bytes;
};

struct memory_probe {
  bool exact; /* there is a smaps_rollup */
  uint64_t interval;
  uint64_t peak_op;
  struct footprint base;
  _Atomic uint64_t done;
  _Atomic uint64_t live_bytes;
  _Atomic uint64_t call_faults;
  _Atomic uint64_t touch_faults;
  _Atomic uint32_t fault_event_count;
  pthread_mutex_t lock; /* of the checkpoints */
  uint32_t checkpoint_count;
  struct checkpoint *checkpoints;
  struct fault_event *fault_events;
};

/* ---- Readings ---------------------------------------------------------------- */

static void read_or_die(const char *path, char *text, size_t capacity) {
  if (!read_text(path, text, capacity)) die(EXIT_TOOL, path, "cannot be read");
}

/* "Anonymous:    12 kB" -> 12288; 0 where the kernel has no such line. */
static uint64_t rollup_bytes(const char *text, const char *key) {
  const char *line = strstr(text, key);
  return line ? text_number(line + strlen(key)) * 1024 : 0;
}

/* Of "size resident shared text lib data dt", in pages. */
static uint64_t statm_field(const char *text, int field) {
  while (field-- > 0)
    while (*text && *text++ != ' ') continue;
  return text_number(text) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct footprint read_footprint(const struct memory_probe *probe) {
  static char text[8192];
  struct footprint now = {0};
  read_or_die(STATM, text, sizeof text);
  now.mapped_bytes = statm_field(text, 5);
  if (!probe->exact) {
    now.rss_bytes = statm_field(text, 1);
    return now;
  }
  read_or_die(ROLLUP, text, sizeof text);
  now.rss_bytes = rollup_bytes(text, "\nAnonymous:") + rollup_bytes(text, "\nPss_Shmem:");
  return now;
}

static uint64_t growth(uint64_t now, uint64_t base) { return now > base ? now - base : 0; }

static void take_checkpoint(struct memory_probe *probe, uint64_t op) {
  pthread_mutex_lock(&probe->lock);
  struct footprint now = read_footprint(probe);
  probe->checkpoints[probe->checkpoint_count++] = (struct checkpoint){
      .op = op,
      .live_bytes = atomic_load(&probe->live_bytes),
      .mapped_bytes = growth(now.mapped_bytes, probe->base.mapped_bytes),
      .rss_bytes = growth(now.rss_bytes, probe->base.rss_bytes),
  };
  pthread_mutex_unlock(&probe->lock);
}

/* ---- The pass ------------------------------------------------------------------ */

static _Thread_local uint32_t faults_at_enter, call_faults, touch_faults;

static uint32_t thread_faults(void) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return (uint32_t)(usage.ru_minflt + usage.ru_majflt);
}

static inline void enter_call(void) {
  call_faults = touch_faults = 0;
  faults_at_enter = thread_faults();
}

static inline void leave_call(void) {
  uint32_t now = thread_faults();
  call_faults = now - faults_at_enter;
  faults_at_enter = now;
}

static void log_faults(struct worker *worker, const struct trace_op *op) {
  struct memory_probe *probe = worker->probe;
  atomic_fetch_add(&probe->call_faults, call_faults);
  atomic_fetch_add(&probe->touch_faults, touch_faults);
  uint32_t at = atomic_fetch_add(&probe->fault_event_count, 1);
  if (at >= FAULT_EVENTS) return;
  probe->fault_events[at] = (struct fault_event){(uint32_t)(op - worker->ops), worker->thread,
                                                 call_faults, touch_faults};
}

static inline void account(struct worker *worker, const struct cell *cell,
                           const struct trace_op *op, uint32_t old_size) {
  struct memory_probe *probe = worker->probe;
  if (op->kind == TRACE_FREE) atomic_fetch_sub(&probe->live_bytes, old_size);
  else atomic_fetch_add(&probe->live_bytes, (uint64_t)cell->size - old_size);
  if (call_faults | touch_faults) log_faults(worker, op);
  call_faults = touch_faults = 0;
  uint64_t done = atomic_fetch_add(&probe->done, 1) + 1;
  if (done % probe->interval == 0 || done == probe->peak_op) take_checkpoint(probe, done);
}

#define REPLAY_ENTER(worker, op) (progress_enter(worker, op), enter_call())
#define REPLAY_LEAVE(worker, op) (leave_call(), progress_leave(worker))
#define REPLAY_TOUCHED(worker, op) (touch_faults = thread_faults() - faults_at_enter)
#define REPLAY_AFTER(worker, cell, op, old_size) account(worker, cell, op, old_size)

#define REPLAY_NAME replay_alone
#define REPLAY_THREADED 0
#include "replay.inc"

#define REPLAY_NAME replay_threaded
#define REPLAY_THREADED 1
#define REPLAY_WAIT(worker, word, op) handover_wait(word, (op)->epoch)
#include "replay.inc"

static void run_thread(struct worker *worker) {
  if (worker->session->trace.header->thread_count == 1) replay_alone(worker, 0, worker->count);
  else replay_threaded(worker, 0, worker->count);
}

/* ---- The result ------------------------------------------------------------------ */

static void report_growth(struct json *json, const char *mapped_key, const char *rss_key,
                          const struct memory_probe *probe, struct footprint now) {
  json_integer(json, mapped_key, growth(now.mapped_bytes, probe->base.mapped_bytes));
  json_integer(json, rss_key, growth(now.rss_bytes, probe->base.rss_bytes));
}

static void report(struct session *session, const struct memory_probe *probe,
                   struct footprint after_free, struct footprint after_teardown) {
  struct json *json = &session->json;
  uint32_t seen = atomic_load(&probe->fault_event_count);
  uint32_t kept = seen < FAULT_EVENTS ? seen : FAULT_EVENTS;
  uint64_t mapped = 0, rss = 0;
  for (uint32_t i = 0; i < probe->checkpoint_count; i++) {
    const struct checkpoint *at = &probe->checkpoints[i];
    if (at->mapped_bytes > mapped) mapped = at->mapped_bytes;
    if (at->rss_bytes > rss) rss = at->rss_bytes;
  }
  json_open(json, "memory");
  json_string(json, "rss_source", probe->exact ? "smaps_rollup" : "statm");
  json_integer(json, "peak_live_bytes", session->trace.header->peak_live_bytes);
  json_integer(json, "peak_mapped_bytes", mapped);
  json_integer(json, "peak_rss_bytes", rss);
  report_growth(json, "mapped_after_free_bytes", "rss_after_free_bytes", probe, after_free);
  if (session->options.subject == SUBJECT_PLUGIN) {
    report_growth(json, "mapped_after_teardown_bytes", "rss_after_teardown_bytes", probe,
                  after_teardown);
  } else { /* the process's own malloc is never taken down */
    json_null(json, "mapped_after_teardown_bytes");
    json_null(json, "rss_after_teardown_bytes");
  }
  json_integer(json, "call_faults", atomic_load(&probe->call_faults));
  json_integer(json, "touch_faults", atomic_load(&probe->touch_faults));
  json_integer(json, "fault_events_dropped", seen - kept);
  json_close(json);
  write_file(session_path(session, "checkpoints.bin"), probe->checkpoints,
             probe->checkpoint_count * sizeof *probe->checkpoints);
  write_file(session_path(session, "faults.bin"), probe->fault_events,
             kept * sizeof *probe->fault_events);
}

void probe_memory(struct session *session) {
  static struct memory_probe probe;
  const struct trace_header *header = session->trace.header;
  uint32_t wanted = session->options.checkpoints;
  int rollup = open(ROLLUP, O_RDONLY | O_CLOEXEC);
  probe.exact = rollup >= 0;
  if (probe.exact) close(rollup);
  pthread_mutex_init(&probe.lock, NULL);
  probe.interval = (header->op_count + wanted - 1) / wanted;
  probe.peak_op = header->thread_count == 1 ? header->peak_live_op + 1 : 0;
  probe.checkpoints = take_pages((wanted + 3) * sizeof *probe.checkpoints);
  probe.fault_events = take_pages(FAULT_EVENTS * sizeof *probe.fault_events);
  team_prepare(session);
  probe.base = read_footprint(&probe);
  probe.base = read_footprint(&probe); /* the first reading makes its own buffer resident */

  session_start(session);
  take_checkpoint(&probe, 0);
  team_run(session, run_thread, &probe);
  struct footprint after_free = read_footprint(&probe);
  session_stop(session);
  struct footprint after_teardown = read_footprint(&probe);
  report(session, &probe, after_free, after_teardown);
}
