/* clock.h: the cheapest clock that orders itself against the code around it.
 *
 * x86-64: the time stamp counter. lfence before and after the first read keeps
 * earlier work out and the timed call in; rdtscp waits for the timed call and
 * the lfence behind it keeps later work out. aarch64: the virtual counter
 * between isb barriers. Ticks become nanoseconds by comparing both ends of the
 * whole process with CLOCK_MONOTONIC_RAW.
 */
#ifndef ALLOCPHASE_CLOCK_H
#define ALLOCPHASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#define CLOCK_SOURCE "tsc"
static inline uint64_t ticks_begin(void) {
  _mm_lfence();
  uint64_t ticks = __rdtsc();
  _mm_lfence();
  return ticks;
}
static inline uint64_t ticks_end(void) {
  unsigned int cpu;
  uint64_t ticks = __rdtscp(&cpu);
  _mm_lfence();
  return ticks;
}
#elif defined(__aarch64__)
#define CLOCK_SOURCE "cntvct"
static inline uint64_t ticks_begin(void) {
  uint64_t ticks;
  __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(ticks)::"memory");
  return ticks;
}
static inline uint64_t ticks_end(void) { return ticks_begin(); }
#else
#error "allocphase measures x86-64 and aarch64"
#endif

/* A duration as the samples hold it; 2^32 - 1 means "at least that long". */
static inline uint32_t ticks_clamp(uint64_t ticks) {
  return ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
}

static inline uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct clock {
  uint64_t start_ticks;
  uint64_t start_ns;
  double hz;               /* ticks a second: roughly by clock_start(), well by clock_stop() */
  uint32_t overhead_ticks; /* median of an empty begin/end pair */
  uint32_t tail_ticks;     /* their 99th percentile: no tail of a call can be below it */
  uint32_t minimum_ticks;  /* smallest of them */
  uint32_t step_ticks;     /* smallest difference seen between two readings */
};

/* The rate alone: `clock_mark` at the beginning, then ticks a second since; 0 when that is
 * too short ago to say. */
void clock_mark(struct clock *clock);
double clock_hz_since(const struct clock *clock);

void clock_start(struct clock *clock);
void clock_stop(struct clock *clock);

#endif
