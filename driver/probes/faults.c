/* faults.c: which operation took which page fault, in the call or in the program's first
 * touch of what it got. The kernel counts; it is asked after each call and each touch that
 * lasted as long as a fault may (slow.h), so a replay is slower than a timed one, and in a
 * process of its own.
 *
 * Those of the first replays and of the warm ones (trace.h) are told apart. Files: faults.bin
 * (struct fault_event), only operations that took any.
 */
#include <stdatomic.h>

#include "base/clock.h"
#include "base/system.h"
#include "probes/probes.h"
#include "probes/resident.h"
#include "probes/slow.h"
#include "progress.h"
#include "replay.h"
#include "team.h"

#define FAULT_EVENTS (1u << 20)
/* Of the cheapest page fault, as an inverse: what is shorter took none, even where the processor
 * runs at a quarter of its rate when that one is measured. */
#define FAULT_SHARE 4

struct fault_event {
  uint64_t op; /* its place (worker.h) */
  uint32_t call_faults;
  uint32_t touch_faults;
};

_Static_assert(sizeof(struct fault_event) == 16, "probe/arrays.py: FAULT_EVENT");

struct faults_probe {
  _Atomic uint64_t call_faults; /* of the first replays, as is the next */
  _Atomic uint64_t touch_faults;
  _Atomic uint64_t warm_call_faults;
  _Atomic uint64_t warm_touch_faults;
  uint32_t least_ticks;   /* of what is asked about */
  uint32_t most_events;
  _Atomic uint32_t event_count; /* may pass most_events: the rest is only counted */
  struct fault_event *events;
};

static _Thread_local uint64_t last_ticks, last_faults; /* as last read and asked for */
static _Thread_local uint32_t call_faults, touch_faults;

/* Those since the clock was last read. */
static inline uint32_t new_faults(const struct worker *worker, uint64_t now_ticks) {
  const struct faults_probe *probe = worker->probe;
  uint64_t ticks = now_ticks - last_ticks;
  last_ticks = now_ticks;
  if (ticks < probe->least_ticks) return 0;
  uint64_t before = last_faults;
  last_faults = thread_faults();
  last_ticks = ticks_begin();
  return (uint32_t)(last_faults - before);
}

/* What was new in the gap before it is the driver's own. */
static inline void enter_call(struct worker *worker) {
  new_faults(worker, ticks_begin());
  call_faults = touch_faults = 0;
}

static inline void leave_call(struct worker *worker) {
  call_faults = new_faults(worker, ticks_end());
}

static inline void touched(struct worker *worker) {
  touch_faults = new_faults(worker, ticks_end());
}

static void log_faults(struct worker *worker, const struct trace_op *op) {
  struct faults_probe *probe = worker->probe;
  if (!(call_faults | touch_faults)) return;
  bool warm = worker_is_warm(worker);
  atomic_fetch_add(warm ? &probe->warm_call_faults : &probe->call_faults, call_faults);
  atomic_fetch_add(warm ? &probe->warm_touch_faults : &probe->touch_faults, touch_faults);
  uint32_t at = atomic_fetch_add(&probe->event_count, 1);
  if (at < probe->most_events)
    probe->events[at] = (struct fault_event){worker_place(worker, op), call_faults, touch_faults};
  call_faults = touch_faults = 0;
}

#define REPLAY_ENTER(worker, op) (progress_enter(worker, op), enter_call(worker))
#define REPLAY_LEAVE(worker, op) (leave_call(worker), progress_leave(worker))
#define REPLAY_TOUCHED(worker, op) touched(worker)
#define REPLAY_AFTER(worker, cell, op, old_size) ((void)(old_size), log_faults(worker, op))
#include "replay_both.inc"

void probe_faults(struct session *session) {
  uint64_t warm = trace_warm_replays(&session->trace, session->options.warm_replays);
  uint64_t places = trace_places(&session->trace, warm);
  struct faults_probe *probe = take_pages(sizeof *probe);
  struct json *json = &session->json;
  probe->most_events = places < FAULT_EVENTS ? (uint32_t)places : FAULT_EVENTS;
  probe->events = take_pages(probe->most_events * sizeof *probe->events);
  probe->least_ticks = slow_cheapest_fault_ticks() / FAULT_SHARE;
  resident_touch_own_code();
  session_start(session);
  uint64_t pass_ns = team_run_warm(session, replay_part, probe, warm);
  session_stop(session);
  uint32_t seen = atomic_load(&probe->event_count);
  uint32_t kept = seen < probe->most_events ? seen : probe->most_events;
  json_open(json, "faults");
  json_integer(json, "pass_ns", pass_ns);
  json_integer(json, "call_faults", atomic_load(&probe->call_faults));
  json_integer(json, "touch_faults", atomic_load(&probe->touch_faults));
  json_integer(json, "warm_replays", warm);
  json_integer(json, "warm_call_faults", atomic_load(&probe->warm_call_faults));
  json_integer(json, "warm_touch_faults", atomic_load(&probe->warm_touch_faults));
  json_integer(json, "events_dropped", seen - kept);
  json_close(json);
  write_file(session_path(session, "faults.bin"), probe->events, kept * sizeof *probe->events);
}
