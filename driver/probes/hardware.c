/* hardware.c: what the processor's own counters say of warm passes (counter_group.h).
 *
 * A pass is, as in throughput.c, as many replays of what can be repeated as last pass_ns,
 * after replays that are warm; the group is read between two passes and at no other time.
 * A read(2) costs a few instructions outside of the kernel, of millions in a pass: to read
 * the counters without the kernel, by rdpmc, would save nothing. The counters are
 * opened before init, so that they count the allocator's own threads too; and the
 * program's work between calls is left out.
 *
 * Where there are no counters nothing is replayed: why is in the result's "lacks".
 */
#include "base/system.h"
#include "conditions.h"
#include "probes/counter_group.h"
#include "probes/probes.h"
#include "replay.h"
#include "team.h"

#include "replay_both.inc"

/* One pass of what takes longer than this averages over enough. */
#define LONG_REPLAY_NS 200000000u

struct hardware {
  const struct session *session;
  struct counter_group group;
  uint64_t replays; /* in each pass */
  uint32_t passes;
  uint32_t readings;
  size_t *lengths;                       /* by reading, in words */
  uint64_t (*words)[MOST_READING_WORDS]; /* by reading: before the first pass, after each */
};

static uint64_t play(const struct hardware *run) {
  const struct trace *trace = &run->session->trace;
  return team_play(trace_first_repeated(trace), trace_last_repeated(trace), run->replays).busy_ns;
}

/* Twice as many each time until they last a quarter of a pass: all is warm by then. */
static uint64_t replays_of_a_pass(struct hardware *run) {
  uint64_t pass_ns = run->session->options.pass_ns;
  for (run->replays = 1;; run->replays *= 2) {
    uint64_t ns = play(run);
    if (ns >= (pass_ns + 3) / 4) return run->replays * pass_ns / (ns ? ns : 1) + 1;
  }
}

static void take_reading(struct hardware *run) {
  run->lengths[run->readings] = counter_group_read(&run->group, run->words[run->readings]);
  run->readings++;
}

static void play_all(void *probe) {
  struct hardware *run = probe;
  enum trace_part first = trace_first_repeated(&run->session->trace);
  enum trace_part last = trace_last_repeated(&run->session->trace);
  if (first > TRACE_BUILD) team_play(TRACE_BUILD, first - 1, 1);
  if (team_play(first, last, 1).busy_ns < LONG_REPLAY_NS) run->replays = replays_of_a_pass(run);
  else run->passes = 1;
  take_reading(run);
  for (uint32_t pass = 0; pass < run->passes; pass++) {
    play(run);
    take_reading(run);
  }
  if (last < TRACE_DRAIN) team_play(last + 1, TRACE_DRAIN, 1);
}

static void report(struct json *json, const struct hardware *run) {
  const struct counter_group *group = &run->group;
  json_open(json, "hardware");
  json_open(json, "events");
  for (size_t i = 0; i < group->count; i++)
    if (run->readings > 0 && !group->left_out[i])
      json_integer(json, group->counters[i].name, group->ids[i]);
  json_close(json);
  json_open(json, "left_out");
  for (size_t i = 0; i < group->count; i++)
    if (group->left_out[i]) json_string(json, group->counters[i].name, group->left_out[i]);
  json_close(json);
  json_integer(json, "replays_per_pass", run->readings > 0 ? run->replays : 0);
  json_open_array(json, "readings");
  for (uint32_t i = 0; i < run->readings; i++) {
    json_open_array(json, NULL);
    for (size_t word = 0; word < run->lengths[i]; word++)
      json_integer(json, NULL, run->words[i][word]);
    json_close_array(json);
  }
  json_close_array(json);
  json_close(json);
}

void probe_hardware(struct session *session) {
  struct hardware run = {.session = session, .replays = 1, .passes = session->options.passes};
  uint32_t most = run.passes + 1;
  run.lengths = take_pages(most * sizeof *run.lengths);
  run.words = take_pages(most * sizeof *run.words);
  const char *why = counter_group_open(&run.group, session->options.software_counters);
  if (why) conditions_lack("hardware counters", why);
  session_start(session);
  if (!why) team_run(session, replay_part, &run, play_all);
  report(&session->json, &run);
  session_stop(session);
}
