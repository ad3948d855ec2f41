#include "options.h"

#include <string.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/system.h"
#include "probes/probes.h"
#include "trace.h"

#define PROBE_NAME(name) #name,
static const char *const probe_names[] = {PROBES(PROBE_NAME)};
#define PROBE_COUNT (int)(sizeof probe_names / sizeof *probe_names)

const char *const backend_names[BACKENDS] = {"auto", "dispatch", "ptrace", "mark", "none"};

static uint64_t parse_number(const char *option, const char *text) {
  uint64_t value = 0;
  if (!*text) die(EXIT_USAGE, option, "wants a whole number");
  for (const char *c = text; *c; c++) {
    if (*c < '0' || *c > '9' || value > UINT64_MAX / 10 - 1)
      die(EXIT_USAGE, option, "wants a whole number");
    value = value * 10 + (uint64_t)(*c - '0');
  }
  return value;
}

static uint32_t parse_small(const char *option, const char *text) {
  uint64_t value = parse_number(option, text);
  if (value > INT32_MAX) die(EXIT_USAGE, option, "is too large");
  return (uint32_t)value;
}

static uint32_t parse_interval(const char *option, const char *text) {
  uint32_t value = parse_small(option, text);
  if (value == 0) die(EXIT_USAGE, option, "at least 1");
  return value;
}

static int parse_choice(const char *option, const char *text, const char *const *names, int count) {
  for (int i = 0; i < count; i++)
    if (strcmp(text, names[i]) == 0) return i;
  die(EXIT_USAGE, option, "has no such choice");
}

/* "key=value", split in a copy: argv is handed on when the driver starts itself again. */
static void parse_setting(struct options *options, const char *argument) {
  char *text = take_pages(strlen(argument) + 1);
  memcpy(text, argument, strlen(argument));
  char *equals = strchr(text, '=');
  if (!equals || equals == text) die(EXIT_USAGE, "--set", "wants key=value");
  if (options->setting_count == MAX_SETTINGS) die(EXIT_USAGE, "--set", "too many settings");
  *equals = '\0';
  options->settings[options->setting_count++] = (struct allocphase_setting){text, equals + 1};
}

static void parse_cpu(struct options *options, const char *text) {
  if (options->cpu_count == MAX_CPUS) die(EXIT_USAGE, "--cpu", "too many");
  options->cpus[options->cpu_count++] = (int)parse_small("--cpu", text);
}

static void parse_under(struct options *options, const char *text) {
  if (options->under_count == MAX_UNDER) die(EXIT_USAGE, "--under", "too many");
  options->under[options->under_count++] = text;
}

static void set_subject(struct options *options, enum subject_kind kind, const char *path) {
  options->subject = kind;
  options->subject_path = path;
}

/* First of all options, so that what is wrong with the others can be told; last of all,
 * where a preload's code has run before: then it is too late for that. */
static void expect_a_keeper(struct options *options, uint32_t life) {
  options->life = life;
  channel_open(life > 1);
  if (life > 1 && life != (uint32_t)getpid()) _exit(EXIT_MEASURED); /* a copy, forked before main */
  if (life > 1) system_expect_the_worst();
}

static void apply(struct options *options, const char *name, const char *value) {
  if (!strcmp(name, "--kept")) expect_a_keeper(options, parse_small(name, value));
  else if (!strcmp(name, "--trace")) options->trace_path = value;
  else if (!strcmp(name, "--out")) options->out_folder = value;
  else if (!strcmp(name, "--probe"))
    options->probe = parse_choice(name, value, probe_names, PROBE_COUNT);
  else if (!strcmp(name, "--plugin")) set_subject(options, SUBJECT_PLUGIN, value);
  else if (!strcmp(name, "--preloaded")) set_subject(options, SUBJECT_PRELOAD, value);
  else if (!strcmp(name, "--sanitizer")) options->sanitizer = value;
  else if (!strcmp(name, "--set")) parse_setting(options, value);
  else if (!strcmp(name, "--cpu")) parse_cpu(options, value);
  else if (!strcmp(name, "--pass-ns")) options->pass_ns = parse_number(name, value);
  else if (!strcmp(name, "--replays")) options->replays = parse_small(name, value);
  else if (!strcmp(name, "--passes")) options->passes = parse_small(name, value);
  else if (!strcmp(name, "--in-turns")) options->in_turns = parse_small(name, value) != 0;
  else if (!strcmp(name, "--work-iterations")) options->work_iterations = parse_small(name, value);
  else if (!strcmp(name, "--warm-replays")) options->warm_replays = parse_small(name, value);
  else if (!strcmp(name, "--raw-ops")) options->raw_ops = parse_number(name, value);
  else if (!strcmp(name, "--checkpoints")) options->checkpoints = parse_small(name, value);
  else if (!strcmp(name, "--check-every")) options->check_every = parse_interval(name, value);
  else if (!strcmp(name, "--under")) parse_under(options, value);
  else if (!strcmp(name, "--software-counters"))
    options->software_counters = parse_small(name, value) != 0;
  else if (!strcmp(name, "--aloud")) options->aloud = parse_small(name, value) != 0;
  else if (!strcmp(name, "--syscall-backend"))
    options->backend = (enum syscall_backend)parse_choice(name, value, backend_names, BACKEND_NONE);
  else if (!strcmp(name, "--fixed-addresses"))
    options->fixed_addresses = parse_small(name, value) != 0;
  else die(EXIT_USAGE, name, "no such option");
}

void options_parse(struct options *options, int argc, char **argv) {
  *options = (struct options){
      .subject = SUBJECT_LIBC,
      .pass_ns = 20000000,
      .passes = 5,
      .warm_replays = TRACE_MAX_WARM,
      .raw_ops = 4000000,
      .checkpoints = 400,
  };
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) die(EXIT_USAGE, argv[i], "wants a value");
    apply(options, argv[i], argv[i + 1]);
  }
  if (!options->trace_path) die(EXIT_USAGE, "--trace", "is missing");
  if (!options->out_folder) die(EXIT_USAGE, "--out", "is missing");
  if (options->passes == 0 || options->passes > 1000) die(EXIT_USAGE, "--passes", "1 to 1000");
  if (options->warm_replays == 0 || options->warm_replays > TRACE_MAX_WARM)
    die(EXIT_USAGE, "--warm-replays", "1 to 50");
  if (options->checkpoints == 0) die(EXIT_USAGE, "--checkpoints", "at least 1");
}
