/* throughput.c: nanoseconds per operation, without a clock inside the loop.
 *
 * The first replay is cold: the allocator's first sight of this trace. Then a
 * pass is as many replays as last pass_ns, and a process reports each of its
 * warm passes: several, or one when a single replay is long already. When the
 * trace has a build part, further passes time that part alone (two clock readings
 * per replay).
 *
 * What a trace of one thread stood ready while others had its CPU is taken off
 * (run_delay_ns in all), but for the build part alone.
 *
 * Of a trace with threads the time of a pass is that from the common start to the
 * last end. Each thread's own time, from its start to its end and with what it
 * waited for objects of others, is the median over the warm passes.
 */
#include "replay.h"
#include "team.h"

#define REPLAY_NAME replay_alone
#define REPLAY_THREADED 0
#include "replay.inc"

#define REPLAY_NAME replay_threaded
#define REPLAY_THREADED 1
#define REPLAY_WAIT(worker, word, op) handover_wait(word, (op)->epoch)
#include "replay.inc"

struct throughput {
  uint64_t replays;  /* of the whole trace, by each run */
  uint64_t build_ns; /* spent in the build part, when `split` */
  bool split;
  uint64_t *busy_ns; /* of each thread, in one pass */
};

static void run_alone(struct worker *worker) {
  struct throughput *run = worker->probe;
  for (uint64_t r = 0; r < run->replays; r++) replay_alone(worker, 0, worker->count);
}

static void run_split(struct worker *worker) {
  struct throughput *run = worker->probe;
  uint64_t build_ops = worker->session->trace.header->build_ops;
  for (uint64_t r = 0; r < run->replays; r++) {
    uint64_t start_ns = now_ns();
    replay_alone(worker, 0, build_ops);
    run->build_ns += now_ns() - start_ns;
    replay_alone(worker, build_ops, worker->count);
  }
}

static void run_threaded(struct worker *worker) { replay_threaded(worker, 0, worker->count); }

static uint64_t time_replays(struct session *session, struct throughput *run) {
  if (session->trace.header->thread_count == 1)
    return team_run(session, run->split ? run_split : run_alone, run);
  uint64_t total_ns = 0; /* the threads live as long as one replay */
  uint32_t threads = session->trace.header->thread_count;
  memset(run->busy_ns, 0, threads * sizeof *run->busy_ns);
  for (uint64_t r = 0; r < run->replays; r++) {
    total_ns += team_run(session, run_threaded, run);
    for (uint32_t t = 0; t < threads; t++) run->busy_ns[t] += team_busy_ns(t);
  }
  return total_ns;
}

/* One pass of a trace that takes longer than this averages over enough. */
#define LONG_REPLAY_NS 200000000u

static double per_op(const struct session *session, const struct throughput *run, uint64_t ns) {
  return (double)ns / ((double)run->replays * (double)session->trace.header->op_count);
}

static double median(double *values, uint32_t count) {
  for (uint32_t i = 1; i < count; i++) { /* insertion: passes are few */
    double value = values[i];
    uint32_t hole = i;
    for (; hole > 0 && values[hole - 1] > value; hole--) values[hole] = values[hole - 1];
    values[hole] = value;
  }
  return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void report_passes(struct session *session, struct throughput *run) {
  const struct trace *trace = &session->trace;
  uint32_t passes = session->options.passes;
  uint32_t threads = trace->header->thread_count > 1 ? trace->header->thread_count : 0;
  double *thread_ns = take_pages((size_t)threads * passes * sizeof *thread_ns);
  json_open_array(&session->json, "warm_ns_per_op");
  for (uint32_t pass = 0; pass < passes; pass++) {
    json_double(&session->json, NULL, per_op(session, run, time_replays(session, run)));
    for (uint32_t t = 0; t < threads; t++)
      thread_ns[t * passes + pass] = (double)run->busy_ns[t] / (double)run->replays;
  }
  json_close_array(&session->json);
  json_open_array(&session->json, "thread_ns_per_op");
  for (uint32_t t = 0; t < threads; t++) {
    uint64_t ops = trace->threads[t].op_count;
    json_double(&session->json, NULL,
                ops ? median(thread_ns + t * passes, passes) / (double)ops : 0);
  }
  json_close_array(&session->json);
}

static void report_build_passes(struct session *session, struct throughput *run) {
  const struct trace_header *header = session->trace.header;
  json_open_array(&session->json, "warm_build_ns_per_op");
  run->split = true;
  for (uint32_t pass = 0; pass < session->options.passes; pass++) {
    if (header->build_ops == 0 || header->thread_count != 1) break;
    run->build_ns = 0;
    time_replays(session, run);
    double ops = (double)run->replays * (double)header->build_ops;
    json_double(&session->json, NULL, (double)run->build_ns / ops);
  }
  json_close_array(&session->json);
}

void probe_throughput(struct session *session) {
  struct throughput run = {.replays = 1};
  struct json *json = &session->json;
  run.busy_ns = take_pages(session->trace.header->thread_count * sizeof *run.busy_ns);
  session_start(session);
  json_open(json, "throughput");
  uint64_t replay_ns = time_replays(session, &run);
  json_double(json, "cold_ns_per_op", per_op(session, &run, replay_ns));
  if (replay_ns < LONG_REPLAY_NS) replay_ns = time_replays(session, &run);
  else session->options.passes = 1;
  run.replays = session->options.pass_ns / (replay_ns ? replay_ns : 1) + 1;
  json_integer(json, "replays_per_pass", run.replays);
  report_passes(session, &run);
  report_build_passes(session, &run);
  json_integer(json, "run_delay_ns", team_delay_ns());
  json_close(json);
  session_stop(session);
}
