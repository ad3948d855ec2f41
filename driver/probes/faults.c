/* faults.c: which operation took which page fault, in the call or in the program's first
 * touch of what it got. The kernel is asked around every call, so a replay is many
 * times slower than a timed one, and in a process of its own.
 *
 * Those of the first replays and of the warm ones (trace.h) are told apart. Files: faults.bin
 * (struct fault_event), only operations that took any.
 */
#include <stdatomic.h>

#include "base/system.h"
#include "probes/probes.h"
#include "probes/resident.h"
#include "progress.h"
#include "replay.h"
#include "team.h"

#define FAULT_EVENTS (1u << 20)

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
  _Atomic uint32_t event_count; /* may pass FAULT_EVENTS: the rest is only counted */
  struct fault_event events[FAULT_EVENTS];
};

static _Thread_local uint64_t faults_at_enter;
static _Thread_local uint32_t call_faults, touch_faults;

static inline void enter_call(void) {
  call_faults = touch_faults = 0;
  faults_at_enter = thread_faults();
}

static inline void leave_call(void) {
  uint64_t now = thread_faults();
  call_faults = (uint32_t)(now - faults_at_enter);
  faults_at_enter = now;
}

static inline void touched(void) { touch_faults = (uint32_t)(thread_faults() - faults_at_enter); }

static void log_faults(struct worker *worker, const struct trace_op *op) {
  struct faults_probe *probe = worker->probe;
  if (!(call_faults | touch_faults)) return;
  bool warm = worker_is_warm(worker);
  atomic_fetch_add(warm ? &probe->warm_call_faults : &probe->call_faults, call_faults);
  atomic_fetch_add(warm ? &probe->warm_touch_faults : &probe->touch_faults, touch_faults);
  uint32_t at = atomic_fetch_add(&probe->event_count, 1);
  if (at < FAULT_EVENTS)
    probe->events[at] = (struct fault_event){worker_place(worker, op), call_faults, touch_faults};
  call_faults = touch_faults = 0;
}

#define REPLAY_ENTER(worker, op) (progress_enter(worker, op), enter_call())
#define REPLAY_LEAVE(worker, op) (leave_call(), progress_leave(worker))
#define REPLAY_TOUCHED(worker, op) touched()
#define REPLAY_AFTER(worker, cell, op, old_size) ((void)(old_size), log_faults(worker, op))
#include "replay_both.inc"

void probe_faults(struct session *session) {
  struct faults_probe *probe = take_pages(sizeof *probe);
  struct json *json = &session->json;
  resident_touch_own_code();
  session_start(session);
  uint64_t warm = trace_warm_replays(&session->trace);
  uint64_t pass_ns = team_run_warm(session, replay_part, probe, warm);
  session_stop(session);
  uint32_t seen = atomic_load(&probe->event_count);
  uint32_t kept = seen < FAULT_EVENTS ? seen : FAULT_EVENTS;
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
