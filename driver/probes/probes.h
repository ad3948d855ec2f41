/* probes.h: the one list of the probes.
 *
 * A probe is a file of its name in this folder, with a function probe_<name>(), and a
 * line here. From the list come the choices of --probe (options.c), the prototypes
 * below, and what main.c calls.
 */
#ifndef ALLOCPHASE_PROBES_H
#define ALLOCPHASE_PROBES_H

#define PROBES(probe) \
  probe(throughput)   \
  probe(latency)      \
  probe(syscalls)     \
  probe(memory)       \
  probe(footprint)    \
  probe(faults)       \
  probe(instructions) \
  probe(hardware)     \
  probe(verify)

struct session;

/* Each replays the trace and adds its object to session->json. */
#define PROBE_PROTOTYPE(name) void probe_##name(struct session *session);
PROBES(PROBE_PROTOTYPE)
#undef PROBE_PROTOTYPE

#endif
