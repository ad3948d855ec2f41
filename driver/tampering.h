/* tampering.h: what belongs to the process and not to the allocator: did it change?
 *
 * An allocator may change it, and nothing outside this process feels it; but the
 * figures were then taken under other conditions than its rivals'. So what stands
 * before the allocator is loaded is compared with what stands after its fini, and
 * the result names the differences in `tampered`.
 */
#ifndef ALLOCPHASE_TAMPERING_H
#define ALLOCPHASE_TAMPERING_H

#include <stdint.h>

#include "base/json.h"

/* Of the calling thread: CPUs, priority, signal mask. Every thread of the trace
 * remembers them before its first operation and compares after its last. */
struct thread_state {
  uint64_t float_modes; /* rounding, what is flushed to zero, what traps */
  uint64_t cpus[16]; /* 1,024 of them: more are not told apart */
  uint64_t blocked_signals;
  int policy;
  int priority;
  int nice;
};

void thread_state_take(struct thread_state *state);
void thread_state_compare(const struct thread_state *before);

/* Of the whole process. */
void tampering_watch(void);
/* Compares; adds the array `tampered`. */
void tampering_report(struct json *json);

#endif
