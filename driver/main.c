/* main.c: the driver process, from its options to its result.
 *
 *   options -> trace -> allocator -> one probe -> result.json (and binary files)
 *
 * One process replays one trace against one allocator under one probe, and never
 * more: each probe disturbs the others, and each process has a layout of its own.
 * The same binary is also the keeper that such a process runs under (keeper.h).
 * What the allocator does wrong is a result with a status; only what the driver
 * or its caller does wrong is an exit code.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conditions.h"
#include "keeper.h"
#include "progress.h"
#include "replay.h"
#include "seal.h"
#include "session.h"
#include "system.h"
#include "tampering.h"
#include "text.h"

#define DRIVER_VERSION 1

const char *const trace_kind_names[TRACE_KINDS] = {
    "malloc", "calloc", "realloc", "aligned_alloc", "free", "free_foreign", "write",
};

const char *session_path(const struct session *session, const char *name) {
  static char path[4096];
  struct text text = text_in(path, sizeof path);
  text_add(&text, session->options.out_folder);
  text_add(&text, "/");
  text_add(&text, name);
  if (text.length + 1 == sizeof path) die(EXIT_USAGE, "--out", "path is too long");
  return path;
}

/* ---- Endings ----------------------------------------------------------------- */

void session_end_early(struct session *session, const char *status, const char *message) {
  static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&once); /* never unlocked: the first thread to fail is the one to tell */
  struct json json;
  json_start(&json);
  json_integer(&json, "driver", DRIVER_VERSION);
  json_string(&json, "status", status);
  json_string(&json, "message", message);
  json_finish(&json, session_path(session, "result.json"));
  _exit(EXIT_MEASURED);
}

void session_fail(struct worker *worker, uint64_t op, const char *status, const char *what) {
  char line[512];
  const struct trace_op *at = &worker->ops[op];
  struct text text = text_in(line, sizeof line);
  text_add(&text, what);
  text_add(&text, " at operation ");
  text_add_number(&text, op);
  text_add(&text, " of thread ");
  text_add_number(&text, worker->thread);
  text_add(&text, " (");
  text_add(&text, trace_kind_names[at->kind]);
  text_add(&text, ", ");
  text_add_number(&text, at->size);
  text_add(&text, " bytes, slot ");
  text_add_number(&text, at->slot);
  text_add(&text, ")");
  if (worker->session->replay > 1) {
    text_add(&text, " in replay ");
    text_add_number(&text, worker->session->replay);
  }
  session_end_early(worker->session, status, line);
}

/* ---- Around the probe ---------------------------------------------------------- */

static void enter(struct session *session, enum session_part part, const struct worker *worker) {
  if (session->enter) session->enter(session, part, worker);
}

static void leave(struct session *session, enum session_part part, const struct worker *worker) {
  if (session->leave) session->leave(session, part, worker);
}

void session_start(struct session *session) {
  struct refusal refusal;
  progress_to(PROGRESS_INIT);
  enter(session, PART_INIT, NULL);
  bool ready = subject_init(&session->subject, &session->options, &refusal);
  leave(session, PART_INIT, NULL);
  if (!ready) session_end_early(session, refusal.status, refusal.message);
  progress_to(PROGRESS_TRACE);
}

void session_stop(struct session *session) {
  session->helper_threads = process_threads() - 1;
  progress_to(PROGRESS_STATS);
  subject_stats(&session->subject, &session->json);
  progress_to(PROGRESS_FINI);
  enter(session, PART_FINI, NULL);
  session->subject.table.fini();
  leave(session, PART_FINI, NULL);
  progress_to(PROGRESS_RESULT);
}

void session_thread_start(const struct worker *worker) {
  struct session *session = worker->session;
  subject_thread_prepare(&session->subject);
  enter(session, PART_THREAD_START, worker);
  if (session->subject.table.thread_start) session->subject.table.thread_start();
  leave(session, PART_THREAD_START, worker);
}

void session_thread_stop(const struct worker *worker) {
  struct session *session = worker->session;
  enter(session, PART_THREAD_STOP, worker);
  if (session->subject.table.thread_stop) session->subject.table.thread_stop();
  leave(session, PART_THREAD_STOP, worker);
}

static void report_clock(struct json *json, const struct clock *clock) {
  double ns_per_tick = 1e9 / clock->hz;
  json_open(json, "clock");
  json_string(json, "source", CLOCK_SOURCE);
  json_double(json, "hz", clock->hz);
  json_double(json, "overhead_ns", clock->overhead_ticks * ns_per_tick);
  json_double(json, "overhead_p99_ns", clock->tail_ticks * ns_per_tick);
  json_double(json, "minimum_ns", clock->minimum_ticks * ns_per_tick);
  json_double(json, "step_ns", clock->step_ticks * ns_per_tick);
  json_close(json);
}

static void report_usage(struct json *json) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  json_open(json, "usage");
  json_integer(json, "minor_faults", (uint64_t)usage.ru_minflt);
  json_integer(json, "major_faults", (uint64_t)usage.ru_majflt);
  json_integer(json, "voluntary_switches", (uint64_t)usage.ru_nvcsw);
  json_integer(json, "involuntary_switches", (uint64_t)usage.ru_nivcsw);
  json_close(json);
}

static void report_trace(struct session *session) {
  const struct trace_header *header = session->trace.header;
  uint64_t counts[TRACE_KINDS] = {0};
  for (uint64_t i = 0; i < header->op_count; i++) counts[session->trace.ops[i].kind]++;
  json_integer(&session->json, "operations", header->op_count);
  json_open(&session->json, "operation_counts");
  for (int kind = 0; kind < TRACE_KINDS; kind++)
    if (counts[kind]) json_integer(&session->json, trace_kind_names[kind], counts[kind]);
  json_close(&session->json);
  json_integer(&session->json, "skipped_operations", session->skipped_ops);
  json_integer(&session->json, "helper_threads", session->helper_threads);
}

/* ---- Preparations ---------------------------------------------------------------- */

/* Two processes place their objects alike only without ASLR, which is decided
 * when a program is loaded: so the driver starts itself again, once. */
static void fix_addresses(char **argv) {
  int current = personality(0xffffffff);
  if (current == -1 || (current & ADDR_NO_RANDOMIZE)) return;
  if (personality((unsigned long)current | ADDR_NO_RANDOMIZE) == -1) {
    conditions_lack("fixed addresses", "personality() is not permitted here");
    return;
  }
  execv("/proc/self/exe", argv);
  die(EXIT_TOOL, "/proc/self/exe", "cannot be started again");
}

static void pin(struct session *session) {
  const struct options *options = &session->options;
  if (options->cpu_count == 0) return;
  int error = pin_to_cpu(options->cpus[0]);
  if (error) conditions_lack("pinning to a CPU", strerror(error));
}

static void open_trace(struct session *session) {
  const char *wrong = trace_open(&session->trace, session->options.trace_path);
  if (wrong) die(EXIT_USAGE, session->options.trace_path, wrong);
  const struct trace_header *header = session->trace.header;
  session->cells = take_pages(header->slot_count * sizeof *session->cells);
  if (header->thread_count > 1)
    session->epochs = take_pages(header->slot_count * sizeof *session->epochs);
}

static void load_subject(struct session *session) {
  struct refusal refusal;
  uint32_t threads = session->trace.header->thread_count;
  progress_open(session_path(session, "progress.bin"), threads);
  tampering_watch();
  system_expect_the_worst();
  if (!subject_load(&session->subject, &session->options, threads, &refusal))
    session_end_early(session, refusal.status, refusal.message);
}

/* Later stack use must not take faults that would be blamed on the allocator. */
static void touch_stack(void) {
  volatile char stack[256 * 1024];
  for (size_t at = 0; at < sizeof stack; at += PAGE_BYTES) stack[at] = 0;
}

static void (*const probes[PROBES])(struct session *) = {
    [PROBE_THROUGHPUT] = probe_throughput, [PROBE_LATENCY] = probe_latency,
    [PROBE_SYSCALLS] = probe_syscalls,     [PROBE_MEMORY] = probe_memory,
    [PROBE_FOOTPRINT] = probe_footprint,   [PROBE_FAULTS] = probe_faults,
    [PROBE_VERIFY] = probe_verify,
};

int main(int argc, char **argv) {
  static struct session session;
  if (argc > 1 && strcmp(argv[1], "--keep") == 0) return keeper_main(argc - 2, argv + 2);
  options_parse(&session.options, argc, argv);
  if (session.options.fixed_addresses) fix_addresses(argv);
  pin(&session);
  open_trace(&session);
  load_subject(&session);
  touch_stack();
  json_start(&session.json);
  json_integer(&session.json, "driver", DRIVER_VERSION);
  clock_start(&session.clock);
  seal_close(&session);
  probes[session.options.probe](&session);
  seal_check(&session);
  clock_stop(&session.clock);
  subject_describe(&session.subject, &session.json);
  report_clock(&session.json, &session.clock);
  report_usage(&session.json);
  report_trace(&session);
  conditions_report(&session.json);
  tampering_report(&session.json);
  json_string(&session.json, "status", "ok");
  json_string(&session.json, "message", "");
  json_finish(&session.json, session_path(&session, "result.json"));
  _exit(EXIT_MEASURED);
}
