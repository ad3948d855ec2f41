/* ticks.h: the clock of events, unfenced: an event's time is good to some ten nanoseconds. */
#ifndef ALLOCPHASE_RECORDER_TICKS_H
#define ALLOCPHASE_RECORDER_TICKS_H

#include <stdint.h>
#include <time.h>

#include "recorder/arena.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#define TICKS_COUNTER ARENA_TSC
static inline uint64_t ticks_of_counter(void) { return __rdtsc(); }
#elif defined(__aarch64__)
#define TICKS_COUNTER ARENA_CNTVCT
static inline uint64_t ticks_of_counter(void) {
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
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
