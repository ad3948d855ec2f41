/* ticks: what one reading of the recorder's clock costs, in nanoseconds; the median of some turns. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "recorder/ticks.h"

#define TURNS 21
#define READINGS 200000

static double cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int ascending(const void *one, const void *other) {
  double a = *(const double *)one, b = *(const double *)other;
  return (a > b) - (a < b);
}

int main(void) {
  double ns[TURNS];
  volatile uint64_t seen = 0;
  for (int turn = 0; turn < TURNS; turn++) {
    double start = cpu_ns();
    uint64_t sum = 0;
    for (int i = 0; i < READINGS; i++) sum += ticks_of_counter();
    ns[turn] = (cpu_ns() - start) / READINGS;
    seen += sum;
  }
  qsort(ns, TURNS, sizeof ns[0], ascending);
  printf("%.2f\n", ns[TURNS / 2]);
  return 0;
}
