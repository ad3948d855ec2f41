/* throughput.c: nanoseconds per operation, without a clock inside the loop.
 *
 * The first replay is cold: the allocator's first sight of this trace. Then a
 * pass is as many replays as last pass_ns, which is found out by replays that are
 * warm, or as many as --replays asks for; and a process reports each of its warm
 * passes: several, or one when a single replay is long already. When the trace has
 * a build part, further passes time that part alone (two clock readings per replay).
 *
 * What a trace of one thread stood ready while others had its CPU is taken off
 * (run_delay_ns in all), in the build part too. What the allocator's own threads and
 * children worked meanwhile is not, and is told: helper_ns_per_op.
 *
 * Of a trace with threads the time of a pass is that of its replays (team.h). Each
 * thread's own time, from its start to its end and with what it waited for objects of
 * others, is the median over the warm passes.
 */
#include "conditions.h"
#include "probes/probes.h"
#include "replay.h"
#include "team.h"

#include "replay_both.inc"

/* Of the build parts of one pass. Those in which others had the CPU are left out, unless
 * there are no others: then what they had comes off. */
struct build {
  uint64_t calm_ns, calm_replays;
  uint64_t ns, delay_ns, replays;
};

struct throughput {
  uint32_t passes;
  uint64_t replays; /* of the whole trace, by each run */
  struct build build;
  uint64_t delay_ns;
};

/* The delay is read outside of both readings of the clock, so that what is timed has no
 * reading in it; a replay that was put aside right between them only looks less calm. */
static void run_split(struct worker *worker) {
  struct build *build = &((struct throughput *)worker->probe)->build;
  uint64_t build_ops = worker->session->trace.header->build_ops;
  uint64_t delay_ns = run_delay_ns();
  uint64_t start_ns = now_ns();
  replay(worker, 0, build_ops);
  uint64_t ns = now_ns() - start_ns;
  delay_ns = run_delay_ns() - delay_ns;
  replay(worker, build_ops, worker->count);
  build->ns += ns;
  build->delay_ns += delay_ns < ns ? delay_ns : 0;
  build->replays++;
  if (delay_ns > 0) return;
  build->calm_ns += ns;
  build->calm_replays++;
}

static double build_ns(const struct build *build) {
  if (build->calm_replays > 0) return (double)build->calm_ns / (double)build->calm_replays;
  return (double)(build->ns - build->delay_ns) / (double)build->replays;
}

static struct team_time time_replays(struct session *session, struct throughput *run) {
  struct team_time time = team_run(session, replay_all, run, run->replays);
  run->delay_ns += time.delay_ns;
  return time;
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

/* How many replays a pass has. Runs of twice as many each time, until one lasts a quarter of
 * a pass: by then all is warm that a pass will be. A number that is given is warmed up for
 * alike. */
static uint64_t calibrated(struct session *session, struct throughput *run) {
  uint64_t pass_ns = session->options.pass_ns, given = session->options.replays;
  for (run->replays = 1;; run->replays *= 2) {
    uint64_t ns = time_replays(session, run).busy_ns;
    if (given > 0 && run->replays >= (given + 3) / 4) return given;
    if (given == 0 && ns >= (pass_ns + 3) / 4)
      return run->replays * pass_ns / (ns ? ns : 1) + 1;
  }
}

/* By pass, and of each thread by pass. */
struct passes {
  double *ns, *helper_ns, *thread_ns;
};

static void time_passes(struct session *session, struct throughput *run,
                        const struct passes *passes) {
  uint32_t count = run->passes;
  for (uint32_t pass = 0; pass < count; pass++) {
    struct team_time time = time_replays(session, run);
    passes->ns[pass] = per_op(session, run, time.busy_ns);
    passes->helper_ns[pass] = per_op(session, run, time.helper_ns);
    for (uint32_t t = 0; t < session->trace.header->thread_count; t++)
      passes->thread_ns[t * count + pass] = (double)team_busy_ns(t) / (double)run->replays;
  }
}

static void report_passes(struct session *session, struct throughput *run) {
  const struct trace *trace = &session->trace;
  uint32_t count = run->passes, threads = trace->header->thread_count;
  double *all = take_pages((size_t)(threads + 2) * count * sizeof *all);
  struct passes passes = {.ns = all, .helper_ns = all + count, .thread_ns = all + 2 * count};
  time_passes(session, run, &passes);
  json_open_array(&session->json, "warm_ns_per_op");
  for (uint32_t pass = 0; pass < count; pass++)
    json_double(&session->json, NULL, passes.ns[pass]);
  json_close_array(&session->json);
  json_double(&session->json, "helper_ns_per_op", median(passes.helper_ns, count));
  json_open_array(&session->json, "thread_ns_per_op");
  for (uint32_t t = 0; threads > 1 && t < threads; t++) {
    uint64_t ops = trace->threads[t].op_count;
    json_double(&session->json, NULL,
                ops ? median(passes.thread_ns + t * count, count) / (double)ops : 0);
  }
  json_close_array(&session->json);
}

static void report_build_passes(struct session *session, struct throughput *run) {
  const struct trace_header *header = session->trace.header;
  json_open_array(&session->json, "warm_build_ns_per_op");
  for (uint32_t pass = 0; pass < run->passes; pass++) {
    if (header->build_ops == 0 || header->thread_count != 1) break;
    run->build = (struct build){0};
    run->delay_ns += team_run(session, run_split, run, run->replays).delay_ns;
    json_double(&session->json, NULL, build_ns(&run->build) / (double)header->build_ops);
  }
  json_close_array(&session->json);
}

void probe_throughput(struct session *session) {
  struct throughput run = {.passes = session->options.passes, .replays = 1};
  struct json *json = &session->json;
  if (!run_delay_is_kept())
    conditions_lack("time that others had the CPU", "this kernel does not keep it: it is not off");
  session_start(session);
  json_open(json, "throughput");
  uint64_t replay_ns = time_replays(session, &run).busy_ns;
  json_double(json, "cold_ns_per_op", per_op(session, &run, replay_ns));
  if (replay_ns < LONG_REPLAY_NS) run.replays = calibrated(session, &run);
  else run.passes = 1;
  json_integer(json, "replays_per_pass", run.replays);
  report_passes(session, &run);
  report_build_passes(session, &run);
  json_integer(json, "run_delay_ns", run.delay_ns);
  json_close(json);
  session_stop(session);
}
