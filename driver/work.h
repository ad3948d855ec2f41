/* work.h: the program's own work between two calls, where a trace asks for some.
 *
 * A replay calls as soon as it can (as soon as possible, "asap"); a trace with work_ns is
 * *paced*: after each operation comes a chain of multiplications, each of which needs the
 * product of the one before. It stands between two fences, so that a processor that runs
 * ahead can do none of it beside the allocator's work, and none of that beside it. It uses
 * no memory. How many turns of the chain last work_ns is measured before the allocator is there,
 * unless it is given: all processes of a scenario shall do the same, those of the null allocator
 * among them, whose time so has the work in it. The fences are part of it: less than they take
 * is not to be had. What one piece of work takes in fact is measured at the end.
 *
 * A recorded trace has a gap before each operation instead (trace.h), and may be paced by these:
 * short ones are filled with the same chain, long ones are slept, as a program mostly waits
 * there, and decays and purges see real time go by.
 *
 * Only what is timed works: throughput in its passes, latency outside of the timed calls.
 */
#ifndef ALLOCPHASE_WORK_H
#define ALLOCPHASE_WORK_H

#include <stdint.h>

#include "base/json.h"

struct work {
  uint32_t asked_ns;   /* of the trace; 0: no work, and nothing below counts */
  uint64_t iterations; /* of the chain, after each operation or for asked_ns of a gap; at least 1 */
  double ns;           /* what that takes, as measured beforehand */
  uint64_t done;       /* iterations of all threads, counted by who made them */
};

/* Waits until everything before is done, loads included, as the clock's own fences do. */
static inline void work_fence(void) {
#if defined(__x86_64__)
  __asm__ volatile("lfence" ::: "memory");
#elif defined(__aarch64__)
  __asm__ volatile("dsb ishld\n\tisb" ::: "memory");
#endif
}

/* Returns how many iterations it has made. Any odd factor will do: no processor multiplies
 * faster by one number than by another. */
static inline uint64_t work_do(uint64_t iterations) {
  uint64_t product = 1, made = 0;
  work_fence();
  for (; made < iterations; made++) {
    product *= 0x9e3779b97f4a7c15u;
    __asm__ volatile("" : "+r"(product));
  }
  work_fence();
  return made;
}

/* What a chain is calibrated for where it fills recorded gaps. */
#define WORK_GAP_NS 1000u
/* The two fences take about as long, and so does a recorder's own reading of the clock. */
#define WORK_FENCES_NS 10u
/* Waking up takes some tens of microseconds: from ten times that on nobody spins. */
#define WORK_SLEEP_NS 500000u

void work_sleep(uint64_t ns);

/* A recorded gap; returns how many iterations it has made. */
static inline uint64_t work_gap(uint64_t iterations, uint64_t ns) {
  if (ns <= WORK_FENCES_NS) return 0;
  if (ns >= WORK_SLEEP_NS) {
    work_sleep(ns);
    return 0;
  }
  return work_do((ns - WORK_FENCES_NS) * iterations / WORK_GAP_NS);
}

/* `iterations`: 0 where they are to be found. Takes some 2 ms where there is work to do, and no
 * time where there is none. */
void work_prepare(struct work *work, uint32_t asked_ns, uint64_t iterations);

/* "work", with what it takes now; nothing where nobody worked. */
void work_report(const struct work *work, struct json *json);

#endif
