/* options.h: what one driver process is asked to do. Written by
 * src/allocphase/process/driver.py; people use the `allocphase` command instead. */
#ifndef ALLOCPHASE_OPTIONS_H
#define ALLOCPHASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocphase.h"

enum subject_kind { SUBJECT_LIBC, SUBJECT_PRELOAD, SUBJECT_PLUGIN };
enum syscall_backend { BACKEND_AUTO, BACKEND_DISPATCH, BACKEND_PTRACE, BACKEND_MARK, BACKEND_NONE };
#define BACKENDS 5
extern const char *const backend_names[BACKENDS];

#define MAX_SETTINGS 64
#define MAX_UNDER 24
#define MAX_CPUS 1024 /* of a cpu_set_t; a trace needs no more than it has threads */

struct options {
  const char *trace_path;
  const char *out_folder; /* result.json and the binary files go there */
  int probe; /* its place in the list of probes/probes.h */
  enum subject_kind subject;
  const char *subject_path; /* plug-in to load, or preloaded object to expect */
  const char *sanitizer;    /* of a plug-in that is looked into: its preloaded runtime; or NULL */
  struct allocphase_setting settings[MAX_SETTINGS];
  size_t setting_count;
  int cpus[MAX_CPUS]; /* lane i runs on cpus[i % cpu_count] */
  size_t cpu_count;
  uint64_t pass_ns;       /* throughput: a pass lasts at least this long */
  uint64_t replays;       /* throughput: of a pass; 0: as many as last pass_ns */
  uint32_t passes;        /* throughput: warm passes */
  bool in_turns;          /* throughput: with other processes, pass by pass (turn.h) */
  uint64_t work_iterations; /* between two operations, of a paced trace; 0: calibrated (work.h) */
  uint32_t warm_replays;  /* at most, in the probes that look at each call (trace.h) */
  uint64_t raw_ops;       /* latency: up to this many operations every sample is kept */
  uint32_t checkpoints;   /* footprint: readings over op time */
  uint32_t check_every;   /* verify: so many operations between two looks at all live objects
                           * and two calls of check(); 0: as verify.c thinks best */
  enum syscall_backend backend;
  bool software_counters; /* hardware: the kernel's in the place of the processor's */
  bool fixed_addresses; /* ASLR off, so that two processes place objects alike */
  const char *under[MAX_UNDER]; /* a command that runs the driver in its next life */
  size_t under_count;
  bool aloud; /* for people: how it ended is said on stderr too, and by the exit code */
  uint32_t life; /* under a keeper (base/channel.h): 1, or its pid under the preload; else 0 */
};

/* Dies with EXIT_USAGE on anything it does not know. */
void options_parse(struct options *options, int argc, char **argv);

#endif
