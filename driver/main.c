/* main.c: the driver process, from its options to its result.
 *
 *   options -> trace -> allocator -> one probe -> result.json (and binary files)
 *
 * One process replays one trace against one allocator under one probe, and never
 * more: each probe disturbs the others, and each process has a layout of its own.
 * The same binary is also the keeper that such a process runs under (keeper.h), and what
 * runs a program as a whole (program.h).
 * What the allocator does wrong is a result with a status; only what the driver
 * or its caller does wrong is an exit code.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/system.h"
#include "binding.h"
#include "conditions.h"
#include "keeper.h"
#include "probes/probes.h"
#include "program.h"
#include "progress.h"
#include "replay.h"
#include "seal.h"
#include "session.h"
#include "tampering.h"

/* ---- The result ------------------------------------------------------------------- */

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
  json_integer(&session->json, "repeated_operations", trace_repeated_ops(&session->trace));
  json_open(&session->json, "operation_counts");
  for (int kind = 0; kind < TRACE_KINDS; kind++)
    if (counts[kind]) json_integer(&session->json, trace_kind_names[kind], counts[kind]);
  json_close(&session->json);
  json_integer(&session->json, "skipped_operations", session->skipped_ops);
  json_integer(&session->json, "helper_threads", session->helper_threads);
}

/* ---- Preparations ---------------------------------------------------------------- */

_Noreturn static void start_again(char **argv) {
  execv("/proc/self/exe", argv);
  die(EXIT_TOOL, "/proc/self/exe", "cannot be started again");
}

/* Two processes place their objects alike only without ASLR, which is decided
 * when a program is loaded: so the driver starts itself again, once. */
static void fix_addresses(char **argv) {
  int current = personality(0xffffffff);
  if (current == -1 || (current & ADDR_NO_RANDOMIZE)) return;
  if (personality((unsigned long)current | ADDR_NO_RANDOMIZE) == -1) {
    conditions_lack("fixed addresses", "personality() is not permitted here");
    return;
  }
  start_again(argv);
}

static void check_trace(struct session *session) {
  const char *wrong = trace_open(&session->trace, session->options.trace_path);
  if (wrong) die(EXIT_USAGE, session->options.trace_path, wrong);
}

/* A preload's code runs before main. So under a keeper the driver starts without it, says
 * what is wrong with its own work while the channel is nobody else's, and then becomes
 * the process that measures, "--kept PID": what a preload forks before main has another. The
 * number has always as many digits, since its length moves the stack. */
#define PID_DIGITS 10

static char *own_pid(void) {
  static char digits[PID_DIGITS + 1];
  pid_t rest = getpid();
  for (int i = PID_DIGITS - 1; i >= 0; i--, rest /= 10) digits[i] = (char)('0' + rest % 10);
  return digits;
}

static void go_under_the_preload(struct session *session, char **argv) {
  const struct options *options = &session->options;
  if (options->life != 1 || options->subject != SUBJECT_PRELOAD) return;
  check_trace(session);
  channel_close_on_exec();
  setenv("LD_PRELOAD", options->subject_path, 1);
  for (char **argument = argv + 1; *argument; argument += 2)
    if (strcmp(argument[0], "--kept") == 0) argument[1] = own_pid();
  if (options->under_count == 0) start_again(argv);
}

/* Its own arguments but for --under, behind that command, which ends with the driver's path. */
static void go_under_a_command(const struct options *options, char **argv) {
  size_t given = 0, count = 0;
  if (options->under_count == 0) return;
  while (argv[given]) given++;
  char **all = take_pages((options->under_count + given) * sizeof *all);
  for (; count < options->under_count; count++) all[count] = (char *)options->under[count];
  for (char **argument = argv + 1; *argument; argument += 2) {
    if (strcmp(argument[0], "--under") == 0) continue;
    all[count++] = argument[0];
    all[count++] = argument[1];
  }
  execv(all[0], all);
  die(EXIT_TOOL, all[0], "cannot be started");
}

static void pin(struct session *session) {
  const struct options *options = &session->options;
  if (options->cpu_count == 0) return;
  int error = pin_to_cpu(options->cpus[0]);
  if (error) conditions_lack("pinning to a CPU", strerror(error));
}

static void open_trace(struct session *session) {
  check_trace(session);
  const struct trace_header *header = session->trace.header;
  session->cells = take_pages(header->slot_count * sizeof *session->cells);
  if (header->thread_count > 1)
    session->epochs = take_pages(header->slot_count * sizeof *session->epochs);
}

/* Else every line behind this one could be somebody else's. */
static void prove_binding(struct session *session) {
  static char names[200], line[400];
  const struct options *options = &session->options;
  struct text foreign = text_in(names, sizeof names), text = text_in(line, sizeof line);
  bool preload = options->subject == SUBJECT_PRELOAD;
  const char *subject = preload ? options->subject_path : NULL;
  if (binding_prove(subject, options->sanitizer, &foreign)) return;
  text_add(&text, "it takes the place of what the driver itself needs of libc: ");
  text_add(&text, names);
  session_end_early(session, "unsupported", line);
}

/* That a thread is gone and nobody has joined it, a robust mutex tells (team.c): some emulators
 * and sandboxes have none, and a replay would wait for ever. */
static void prove_mortality(struct session *session) {
  void *list;
  size_t bytes;
  if (!trace_threads_end(&session->trace)) return;
  if (syscall(SYS_get_robust_list, 0, &list, &bytes) == 0 || errno != ENOSYS) return;
  session_end_early(session, "unsupported",
                    "the ends of the trace's threads cannot be seen here:"
                    " this kernel or emulator has no robust mutexes (get_robust_list: ENOSYS)");
}

static void load_subject(struct session *session) {
  struct refusal refusal;
  uint32_t threads = session->trace.header->thread_count;
  progress_open(session_path(session, "progress.bin"), threads);
  prove_binding(session);
  tampering_watch();
  system_expect_the_worst(); /* under a preload it has been said already */
  prove_mortality(session);
  if (!subject_load(&session->subject, &session->options, threads, &refusal))
    session_end_early(session, refusal.status, refusal.message);
}

static uint32_t asked_work_ns(const struct trace *trace) {
  return trace->gaps ? WORK_GAP_NS : trace->header->work_ns;
}

/* Later stack use must not take faults that would be blamed on the allocator. */
static void touch_stack(void) {
  volatile char stack[256 * 1024];
  for (size_t at = 0; at < sizeof stack; at += PAGE_BYTES) stack[at] = 0;
}

#define PROBE_FUNCTION(name) probe_##name,
static void (*const probes[])(struct session *) = {PROBES(PROBE_FUNCTION)};

int main(int argc, char **argv) {
  static struct session session;
  if (argc > 1 && strcmp(argv[1], "--keep") == 0) return keeper_main(argc - 2, argv + 2);
  if (argc > 1 && strcmp(argv[1], "--program") == 0) return program_main(argc - 2, argv + 2);
  options_parse(&session.options, argc, argv);
  if (session.options.fixed_addresses) fix_addresses(argv);
  go_under_the_preload(&session, argv);
  go_under_a_command(&session.options, argv);
  pin(&session);
  open_trace(&session);
  load_subject(&session);
  touch_stack();
  json_start(&session.json);
  json_integer(&session.json, "driver", DRIVER_VERSION);
  clock_start(&session.clock);
  work_prepare(&session.work, asked_work_ns(&session.trace), session.options.work_iterations);
  seal_close(&session);
  probes[session.options.probe](&session);
  seal_check(&session);
  if (session.times) clock_stop(&session.clock);
  subject_describe(&session.subject, &session.json);
  if (session.times) report_clock(&session.json, &session.clock);
  work_report(&session.work, &session.json);
  report_usage(&session.json);
  report_trace(&session);
  conditions_report(&session.json);
  tampering_report(&session.json);
  binding_report(&session.json);
  json_string(&session.json, "status", "ok");
  json_string(&session.json, "message", "");
  json_finish(&session.json, session_path(&session, "result.json"));
  _exit(EXIT_MEASURED);
}
