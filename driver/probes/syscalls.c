/* syscalls.c: replays in which every system call of the allocator is seen and belongs to
 * an operation, those of the first replays and of the warm ones (trace.h) told apart.
 * Nothing is timed: the observation costs more than most allocations. Files: syscalls.bin, an array of struct syscall_event.
 *
 * The probe opens a gate (a byte) just before it calls the allocator and closes
 * it just after; the lock that the driver puts before an allocator that is not
 * thread-safe closes it for itself (subject.h). A backend sees each system call of the
 * thread and, while the gate is open, enters it into the log:
 *
 *   dispatch   Syscall User Dispatch (Linux 5.11, x86-64): the kernel reads the
 *              gate itself and turns the call into a SIGSYS, whose handler logs
 *              the call and makes it. About 3 µs a call, nothing otherwise.
 *   ptrace     a second process stops the thread at each call and reads the gate
 *              in shared memory. About ten times slower; needs permission.
 *   mark       logs nothing, but brackets the operations of a part with close(-1000), of a
 *              warm replay with close(-1001), so that an outside tracer can count between two.
 */
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/syscall_name.h"
#include "base/system.h"
#include "base/text.h"
#include "conditions.h"
#include "probes/dispatch.h"
#include "probes/probes.h"
#include "probes/syscall_log.h"
#include "probes/tracer.h"
#include "progress.h"
#include "replay.h"
#include "team.h"

#define MARK_FD (-1000)
#define WARM_MARK_FD (-1001)
#define NO_SUCH_CALL (SYSCALL_NUMBERS - 1)

struct syscall_probe {
  struct syscall_log *log;
  enum syscall_backend backend;
  uint64_t warm;    /* replays */
  uint64_t pass_ns; /* what the observed pass took: tells what observing costs */
};

static _Thread_local struct syscall_thread *here;

static inline void open_gate(struct worker *worker, const struct trace_op *op) {
  here->place = worker_place(worker, op);
  here->gate = GATE_OPEN;
}

static inline void close_gate(void) { here->gate = GATE_CLOSED; }

#define REPLAY_ENTER(worker, op) (progress_enter(worker, op), open_gate(worker, op))
#define REPLAY_LEAVE(worker, op) (close_gate(), progress_leave(worker))

#include "replay_both.inc"

static const char *join(struct syscall_probe *probe, uint32_t index, uint16_t thread) {
  here = &probe->log->threads[index];
  here->thread = thread;
  here->phase = PHASE_OPERATION;
  here->tid = (pid_t)syscall(SYS_gettid);
  subject_gate = &here->gate;
  return probe->backend == BACKEND_DISPATCH ? dispatch_join(here) : NULL;
}

/* Right around the loop: what the driver needs to start a pass is not the allocator's. */
static void mark(const struct worker *worker) {
  const struct syscall_probe *probe = worker->probe;
  if (probe->backend != BACKEND_MARK) return;
  syscall(SYS_close, worker_is_warm(worker) ? WARM_MARK_FD : MARK_FD);
}

static bool counts(const struct syscall_probe *probe) {
  return probe->backend != BACKEND_MARK && probe->backend != BACKEND_NONE;
}

/* A call that the kernel does not have, and every backend sees. Through what was let
 * through, or from a thread of its own, an allocator can end the observation; a count
 * that ended early would look like a good one. */
static bool still_sees(const struct syscall_probe *probe) {
  static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
  _Atomic uint64_t *count = &probe->log->counts[PHASE_TEARDOWN][NO_SUCH_CALL];
  if (!counts(probe)) return true;
  if (probe->backend == BACKEND_DISPATCH && !dispatch_holds()) return false;
  pthread_mutex_lock(&one_at_a_time);
  uint64_t before = atomic_load(count);
  here->phase = PHASE_TEARDOWN;
  here->gate = GATE_OPEN;
  syscall(NO_SUCH_CALL);
  close_gate();
  bool seen = atomic_exchange(count, before) == before + 1;
  pthread_mutex_unlock(&one_at_a_time);
  return seen;
}

static void check_sight(struct session *session, const struct syscall_probe *probe) {
  if (!still_sees(probe))
    session_end_early(session, "unsupported",
                      "the allocator has ended the observation of its system calls:"
                      " --syscall-backend ptrace cannot be ended from inside");
}

static void run_part(struct worker *worker) {
  here->phase = worker_is_warm(worker) ? PHASE_WARM : PHASE_OPERATION;
  mark(worker);
  replay_part(worker);
  mark(worker);
}

static bool is_a_thread_of_its_own(const struct worker *worker) {
  return worker && worker->session->trace.header->thread_count > 1;
}

/* What the allocator does outside of the operations is counted too, and apart. */
static void enter_part(struct session *session, enum session_part part,
                       const struct worker *worker) {
  static const enum phase phases[] = {
      [PART_INIT] = PHASE_INIT,
      [PART_THREAD_START] = PHASE_THREADS,
      [PART_THREAD_STOP] = PHASE_THREADS,
      [PART_FINI] = PHASE_TEARDOWN,
  };
  struct syscall_probe *probe = session->hook_state;
  if (part == PART_THREAD_START && is_a_thread_of_its_own(worker)) {
    const char *wrong = join(probe, worker->thread, (uint16_t)worker->thread);
    if (wrong) die(EXIT_TOOL, "a thread cannot be observed", wrong);
  }
  here->phase = (uint8_t)phases[part];
  here->gate = GATE_OPEN;
}

static void leave_part(struct session *session, enum session_part part,
                       const struct worker *worker) {
  struct syscall_probe *probe = session->hook_state;
  close_gate();
  here->phase = PHASE_OPERATION;
  if (part != PART_THREAD_STOP || !is_a_thread_of_its_own(worker)) return;
  check_sight(session, probe);
  if (probe->backend == BACKEND_DISPATCH) dispatch_leave();
}

static const char *start_backend(struct syscall_probe *probe, uint32_t main_index) {
  const char *wrong = NULL;
  if (probe->backend == BACKEND_DISPATCH) wrong = dispatch_start(probe->log);
  if (!wrong) wrong = join(probe, main_index, 0);
  if (!wrong && probe->backend == BACKEND_PTRACE) wrong = tracer_start(probe->log);
  return wrong;
}

/* The better backend first, unless one is asked for by name. */
static const char *choose_backend(struct syscall_probe *probe, enum syscall_backend asked,
                                  uint32_t main_index) {
  probe->backend = asked == BACKEND_AUTO ? BACKEND_DISPATCH : asked;
  const char *wrong = start_backend(probe, main_index);
  if (!wrong || asked != BACKEND_AUTO) return wrong;
  probe->backend = BACKEND_PTRACE;
  return start_backend(probe, main_index);
}

static void report_counts(struct json *json, const struct syscall_log *log, enum phase phase,
                          const char *key) {
  json_open(json, key);
  for (unsigned int n = 0; n < SYSCALL_NUMBERS; n++) {
    uint64_t count = atomic_load(&log->counts[phase][n]);
    if (count) json_integer(json, syscall_name(n), count);
  }
  json_close(json);
}

/* What the numbers in syscalls.bin mean on this machine. */
static void report_numbers(struct json *json, const struct syscall_log *log) {
  json_open(json, "numbers");
  for (unsigned int n = 0; n < SYSCALL_NUMBERS; n++) {
    char number[24];
    struct text text = text_in(number, sizeof number);
    text_add_number(&text, n);
    if (atomic_load(&log->counts[PHASE_OPERATION][n]) + atomic_load(&log->counts[PHASE_WARM][n]))
      json_string(json, number, syscall_name(n));
  }
  json_close(json);
}

static void report_threads(struct json *json, const struct syscall_log *log, uint32_t threads) {
  json_open_array(json, "thread_calls");
  for (uint32_t t = 0; t < threads; t++)
    json_integer(json, NULL, atomic_load(&log->threads[t].operation_calls));
  json_close_array(json);
}

static void report(struct session *session, const struct syscall_probe *probe) {
  struct json *json = &session->json;
  const struct syscall_log *log = probe->log;
  uint32_t seen = atomic_load(&log->event_count);
  uint32_t kept = seen < SYSCALL_EVENTS ? seen : SYSCALL_EVENTS;
  uint64_t let_through = 0;
  for (uint32_t i = 0; i < atomic_load(&log->thread_count); i++)
    let_through += log->threads[i].let_through;
  json_open(json, "syscalls");
  json_string(json, "backend", backend_names[probe->backend]);
  json_integer(json, "pass_ns", probe->pass_ns);
  if (counts(probe)) {
    /* A preloaded malloc was initialised before main, out of any backend's sight. */
    if (session->options.subject == SUBJECT_PLUGIN) {
      report_counts(json, log, PHASE_INIT, "init");
      report_counts(json, log, PHASE_TEARDOWN, "teardown");
    } else {
      json_null(json, "init");
      json_null(json, "teardown");
    }
    /* Of a preload, what its threads do as they begin and end is out of sight as well. */
    if (session->subject.table.thread_start || session->subject.table.thread_stop)
      report_counts(json, log, PHASE_THREADS, "threads");
    report_counts(json, log, PHASE_OPERATION, "operation");
    json_integer(json, "warm_replays", probe->warm);
    report_counts(json, log, PHASE_WARM, "warm");
    report_numbers(json, log);
    report_threads(json, log, session->trace.header->thread_count);
    json_integer(json, "events", kept);
    json_integer(json, "events_dropped", seen - kept);
    json_integer(json, "let_through", let_through);
  }
  json_close(json);
  write_file(session_path(session, "syscalls.bin"), log->events, kept * sizeof *log->events);
}

void probe_syscalls(struct session *session) {
  uint32_t threads = session->trace.header->thread_count;
  uint32_t main_index = threads;
  struct syscall_probe probe = {0};
  probe.log = take_lazy_pages(sizeof *probe.log + (threads + 1) * sizeof probe.log->threads[0]);
  atomic_store(&probe.log->thread_count, threads + 1);
  const char *wrong = choose_backend(&probe, session->options.backend, main_index);
  if (wrong && session->options.backend != BACKEND_AUTO)
    session_end_early(session, "unsupported", wrong);
  if (wrong) { /* nobody asked for a backend by name: the cell's other figures stand */
    conditions_lack("system calls", wrong);
    probe.backend = BACKEND_NONE;
  }
  probe.warm = trace_warm_replays(&session->trace, session->options.warm_replays);
  session->enter = enter_part;
  session->leave = leave_part;
  session->hook_state = &probe;
  session_start(session);
  probe.pass_ns = team_run_warm(session, run_part, &probe, probe.warm);
  session_stop(session);
  check_sight(session, &probe);
  if (probe.backend == BACKEND_DISPATCH) dispatch_leave();
  tracer_stop();
  report(session, &probe);
}
