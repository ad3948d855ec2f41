/* throughput.c: nanoseconds per operation, without a clock inside the loop.
 *
 * The build part and the first replay over the steady part are cold: the allocator's first
 * sight of this trace. Then a pass is as many repetitions of the steady part as last
 * pass_ns, which is found out by repetitions that are warm, or as many as --replays asks
 * for; and a process reports each of its warm replays: several, or one when a single
 * repetition is long already. The drain is last. So build and drain are timed once, each
 * by itself. A trace without a steady part is repeated as a whole, and further passes time
 * its build and its drain (two clock readings for each).
 *
 * What a trace of one thread stood ready while others had its CPU is taken off
 * (run_delay_ns in all). What the allocator's own threads and children worked meanwhile
 * is not, and is told: helper_ns_per_op.
 *
 * Where processes take turns (turn.h), each pass is one. What ran since the last one had the
 * caches: a turn begins with a replay that is not timed. Where a replay is long it fills them
 * by itself: that one is left out, and there are fewer turns.
 *
 * Of a trace with threads the time of a pass is that of its repetitions (team.h). Each
 * thread's own time, from its start to its end and with what it waited for objects of
 * others, is the median over the warm replays.
 */
#include "base/system.h"
#include "conditions.h"
#include "probes/probes.h"
#include "replay.h"
#include "team.h"
#include "turn.h"

#define REPLAY_WORKS
#include "replay_both.inc"

/* One pass of what takes longer than this averages over enough. */
#define LONG_REPLAY_NS 200000000u
/* Of a process that takes turns: a replay of this length hardly notices that it fills the caches
 * first; and how many turns it has at least. */
#define FILLS_CACHES_NS 10000000u
#define LEAST_TURNS 5

/* Of one part's replays in one pass. Those in which others had the CPU are left out, unless
 * there are no others: then what they had comes off. */
struct split {
  uint64_t calm_ns, calm_replays;
  uint64_t ns, delay_ns, replays;
};

/* Figures by pass: nanoseconds per operation. `thread_ns`: [thread][pass], of all its
 * operations. */
struct figures {
  double *ns, *helper_ns, *thread_ns;
  double *part_ns[TRACE_PARTS];
  uint32_t part_passes[TRACE_PARTS];
};

struct throughput {
  const struct session *session;
  const struct trace *trace;
  uint32_t passes;
  uint64_t replays; /* in each pass, of what is repeated */
  uint64_t replay_ns; /* what one takes, warm */
  uint64_t warming; /* replays before each turn's */
  enum trace_part first, last; /* what that is */
  double cold_ns;
  uint64_t delay_ns;
  uint32_t turns; /* that it had, the one after the last pass too */
  bool splits; /* the parts are timed one by one */
  struct split split[TRACE_PARTS];
  struct figures figures;
};

/* ---- The replay ---------------------------------------------------------------------- */

/* The delay is read outside of both readings of the clock, so that what is timed has no
 * reading in it; a replay that was put aside right between them only looks less calm. */
static void replay_split(struct worker *worker, struct split *split) {
  uint64_t delay_ns = run_delay_ns();
  uint64_t start_ns = now_ns();
  replay_part(worker);
  uint64_t ns = now_ns() - start_ns;
  delay_ns = run_delay_ns() - delay_ns;
  split->ns += ns;
  split->delay_ns += delay_ns < ns ? delay_ns : 0;
  split->replays++;
  if (delay_ns > 0) return;
  split->calm_ns += ns;
  split->calm_replays++;
}

static double split_ns(const struct split *split) {
  if (split->calm_replays > 0) return (double)split->calm_ns / (double)split->calm_replays;
  return (double)(split->ns - split->delay_ns) / (double)split->replays;
}

static void run_part(struct worker *worker) {
  struct throughput *run = worker->probe;
  if (run->splits) replay_split(worker, &run->split[worker->part]);
  else replay_part(worker);
}

/* ---- The script ---------------------------------------------------------------------- */

static struct team_time play(struct throughput *run, enum trace_part first, enum trace_part last,
                             uint64_t times) {
  struct team_time time = team_play(first, last, times);
  run->delay_ns += time.delay_ns;
  return time;
}

static struct team_time play_repeatedly(struct throughput *run) {
  return play(run, run->first, run->last, run->replays);
}

static void add_part(struct throughput *run, enum trace_part part, double ns) {
  struct figures *figures = &run->figures;
  if (run->trace->part_ops[part] == 0) return;
  figures->part_ns[part][figures->part_passes[part]++] = ns / (double)run->trace->part_ops[part];
}

/* Of the build and the first replay, which are timed apart where the build is no part of what
 * is repeated. Returns what the first replay of that took. */
static uint64_t play_cold(struct throughput *run) {
  uint64_t build_ns = 0, ops = trace_repeated_ops(run->trace);
  if (run->first == TRACE_STEADY && run->trace->part_ops[TRACE_BUILD] > 0) {
    build_ns = play(run, TRACE_BUILD, TRACE_BUILD, 1).busy_ns;
    add_part(run, TRACE_BUILD, (double)build_ns);
    ops += run->trace->part_ops[TRACE_BUILD];
  }
  uint64_t first_ns = play(run, run->first, run->last, 1).busy_ns;
  run->cold_ns = (double)(build_ns + first_ns) / (double)ops;
  return first_ns;
}

/* How many replays a pass has. Runs of twice as many each time, until one lasts a quarter of
 * a pass: by then all is warm that a pass will be. A number that is given is warmed up for
 * alike, and not kept to by who would take MUCH_SLOWER passes for a quarter of it: next to
 * that difference, how many replays there are is none. */
#define MUCH_SLOWER 4

static uint64_t calibrated(struct throughput *run) {
  const struct options *options = &run->session->options;
  uint64_t pass_ns = options->pass_ns, given = options->replays;
  for (run->replays = 1;; run->replays *= 2) {
    uint64_t ns = play_repeatedly(run).busy_ns;
    run->replay_ns = ns / run->replays + 1;
    if (given > 0 && run->replays >= (given + 3) / 4) return given;
    if (ns >= (given > 0 ? MUCH_SLOWER * pass_ns : (pass_ns + 3) / 4))
      return run->replays * pass_ns / (ns ? ns : 1) + 1;
  }
}

/* In as much time as the passes would take without turns. */
static uint32_t affordable_turns(const struct throughput *run) {
  const struct options *options = &run->session->options;
  uint64_t turn_ns = (run->replays + run->warming) * run->replay_ns;
  uint64_t turns = options->passes * options->pass_ns / turn_ns;
  if (turns < LEAST_TURNS) turns = LEAST_TURNS;
  return turns < options->passes ? (uint32_t)turns : options->passes;
}

/* Before the first pass all come to as many replays and passes; but who is much slower keeps
 * to its own replays, for the reason above. */
static void agree(struct throughput *run, struct turn told) {
  if (told.passes > 0 && told.passes < run->passes) run->passes = (uint32_t)told.passes;
  if (told.replays > run->replays && told.replays < MUCH_SLOWER * run->replays)
    run->replays = told.replays;
}

static void wait_for_turn(struct throughput *run) {
  if (!run->session->options.in_turns) return;
  struct turn told = turn_wait((struct turn){run->replays, run->passes});
  if (run->turns++ == 0) agree(run, told);
}

static double per_op(const struct throughput *run, uint64_t ns) {
  return (double)ns / ((double)run->replays * (double)trace_repeated_ops(run->trace));
}

static void play_passes(struct throughput *run) {
  const struct figures *figures = &run->figures;
  for (uint32_t pass = 0; pass < run->passes; pass++) {
    wait_for_turn(run);
    if (run->warming > 0) play(run, run->first, run->last, run->warming);
    struct team_time time = play_repeatedly(run);
    figures->ns[pass] = per_op(run, time.busy_ns);
    figures->helper_ns[pass] = per_op(run, time.helper_ns);
    for (uint32_t t = 0; t < run->trace->header->thread_count; t++)
      figures->thread_ns[t * run->passes + pass] =
          (double)team_busy_ns(t) / (double)run->replays;
  }
}

/* The delay is read four times a replay, which takes longer than a short one does: a pass is
 * of fewer replays here, each of them timed by itself. */
#define SPLIT_SHARE 4

/* Of several threads a part lasts from their meeting to their meeting, and a delay is nobody's
 * own: each part is a step. */
static void play_split_together(struct throughput *run, uint64_t replays) {
  for (uint64_t replay = 0; replay < replays; replay++)
    for (enum trace_part part = run->first; part <= run->last; part++) {
      if (run->trace->part_ops[part] == 0) continue;
      run->split[part].ns += play(run, part, part, 1).busy_ns;
      run->split[part].replays++;
    }
}

static void play_split_passes(struct throughput *run) {
  bool alone = run->trace->header->thread_count == 1;
  uint64_t replays = run->replays / SPLIT_SHARE + 1;
  run->splits = alone;
  for (uint32_t pass = 0; pass < run->passes; pass++) {
    memset(run->split, 0, sizeof run->split);
    if (alone) play(run, run->first, run->last, replays);
    else play_split_together(run, replays);
    for (enum trace_part part = TRACE_BUILD; part < TRACE_PARTS; part++)
      if (run->split[part].replays > 0) add_part(run, part, split_ns(&run->split[part]));
  }
}

static void play_all(void *probe) {
  struct throughput *run = probe;
  if (play_cold(run) < LONG_REPLAY_NS) run->replays = calibrated(run);
  else run->passes = 1;
  if (run->session->options.in_turns && run->passes > 1) {
    run->warming = run->replay_ns < FILLS_CACHES_NS;
    run->passes = affordable_turns(run);
  }
  play_passes(run);
  wait_for_turn(run);
  if (run->first == TRACE_BUILD) play_split_passes(run);
  else if (run->trace->part_ops[TRACE_DRAIN] > 0)
    add_part(run, TRACE_DRAIN, (double)play(run, TRACE_DRAIN, TRACE_DRAIN, 1).busy_ns);
}

/* ---- The result ------------------------------------------------------------------------ */

static double median(double *values, uint32_t count) {
  for (uint32_t i = 1; i < count; i++) { /* insertion: passes are few */
    double value = values[i];
    uint32_t hole = i;
    for (; hole > 0 && values[hole - 1] > value; hole--) values[hole] = values[hole - 1];
    values[hole] = value;
  }
  return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void report_each(struct json *json, const char *key, const double *values, uint32_t count) {
  json_open_array(json, key);
  for (uint32_t i = 0; i < count; i++) json_double(json, NULL, values[i]);
  json_close_array(json);
}

static void report_threads(struct json *json, const struct throughput *run) {
  uint32_t threads = run->trace->header->thread_count;
  json_open_array(json, "thread_ns_per_op");
  for (uint32_t t = 0; threads > 1 && t < threads; t++) {
    struct trace_range begin = trace_range(run->trace, t, run->first);
    struct trace_range end = trace_range(run->trace, t, run->last);
    uint64_t ops = end.end - begin.begin;
    double ns = median(run->figures.thread_ns + t * run->passes, run->passes);
    json_double(json, NULL, ops ? ns / (double)ops : 0);
  }
  json_close_array(json);
}

static void report(struct json *json, const struct throughput *run) {
  const struct figures *figures = &run->figures;
  json_open(json, "throughput");
  json_double(json, "cold_ns_per_op", run->cold_ns);
  json_integer(json, "replays_per_pass", run->replays);
  report_each(json, "warm_ns_per_op", figures->ns, run->passes);
  json_double(json, "helper_ns_per_op", median(figures->helper_ns, run->passes));
  report_threads(json, run);
  report_each(json, "build_ns_per_op", figures->part_ns[TRACE_BUILD],
              figures->part_passes[TRACE_BUILD]);
  report_each(json, "drain_ns_per_op", figures->part_ns[TRACE_DRAIN],
              figures->part_passes[TRACE_DRAIN]);
  json_integer(json, "run_delay_ns", run->delay_ns);
  json_integer(json, "turns", run->turns > 0 ? run->turns - 1 : 0);
  json_close(json);
}

static void take_figures(struct throughput *run) {
  uint32_t threads = run->trace->header->thread_count, passes = run->passes;
  double *all = take_pages((size_t)(threads + 2 + TRACE_PARTS) * passes * sizeof *all);
  run->figures.ns = all;
  run->figures.helper_ns = all + passes;
  for (uint32_t part = 0; part < TRACE_PARTS; part++)
    run->figures.part_ns[part] = all + (2 + part) * passes;
  run->figures.thread_ns = all + (2 + TRACE_PARTS) * passes;
}

void probe_throughput(struct session *session) {
  struct throughput run = {
      .session = session,
      .trace = &session->trace,
      .passes = session->options.passes,
      .replays = 1,
      .first = trace_first_repeated(&session->trace),
      .last = trace_last_repeated(&session->trace),
  };
  if (!run_delay_is_kept())
    conditions_lack("time that others had the CPU", "this kernel does not keep it: it is not off");
  session->times = true;
  take_figures(&run);
  session_start(session);
  team_run(session, run_part, &run, play_all);
  report(&session->json, &run);
  session_stop(session);
}
