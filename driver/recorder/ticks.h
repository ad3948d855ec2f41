/* ticks.h: the clock of events.
 *
 * A processor may read its counter some hundred nanoseconds early, before what comes before it in
 * the program. Of one thread's events that is no matter. Between threads the time of a free must
 * not be before that of the allocation whose block was handed over, nor an allocation's before
 * that of the free that made it possible: `ticks_behind` waits for earlier instructions, some ten
 * nanoseconds; no time is ever late, since it is read before its event is written.
 */
#ifndef ALLOCPHASE_RECORDER_TICKS_H
#define ALLOCPHASE_RECORDER_TICKS_H

#include <stdint.h>
#include <time.h>

#include "recorder/arena.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#define TICKS_COUNTER ARENA_TSC
static inline uint64_t ticks_of_counter(void) { return __rdtsc(); }
static inline uint64_t ticks_behind(void) {
  unsigned cpu;
  return __rdtscp(&cpu);
}
#elif defined(__aarch64__)
#define TICKS_COUNTER ARENA_CNTVCT
static inline uint64_t ticks_of_counter(void) {
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
}
static inline uint64_t ticks_behind(void) {
  uint64_t ticks;
  __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks)::"memory");
  return ticks;
}
#else
#error "allocphase records on x86-64 and aarch64"
#endif

static inline uint64_t ticks_of_system(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
