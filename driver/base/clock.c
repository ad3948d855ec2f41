#include "base/clock.h"

/* Enough pairs for a stable median, few enough to stay under 100 µs. */
#define PAIRS 2001
/* A shorter base would let the two readings' own jitter into the rate. */
#define BASE_NS 20000000u
#define FIRST_BASE_NS 500000u

static uint32_t differences[PAIRS];

static void sort(uint32_t *values, int count) { /* insertion: nearly constant input */
  for (int i = 1; i < count; i++) {
    uint32_t value = values[i];
    int hole = i;
    for (; hole > 0 && values[hole - 1] > value; hole--) values[hole] = values[hole - 1];
    values[hole] = value;
  }
}

static uint32_t smallest_step(const uint32_t *sorted, int count) {
  uint32_t step = UINT32_MAX;
  for (int i = 1; i < count; i++) {
    uint32_t gap = sorted[i] - sorted[i - 1];
    if (gap > 0 && gap < step) step = gap;
  }
  return step == UINT32_MAX ? sorted[0] : step;
}

/* Both clocks at one moment: of three pairs of readings the one that lies closest. */
static void read_both(uint64_t *ns, uint64_t *ticks) {
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < 3; i++) {
    uint64_t before = ticks_begin();
    uint64_t now = now_ns();
    uint64_t after = ticks_begin();
    if (after - before >= least) continue;
    least = after - before;
    *ns = now;
    *ticks = before + least / 2;
  }
}

static void measure_rate(struct clock *clock, uint64_t base_ns) {
  uint64_t elapsed_ns;
  uint64_t ticks;
  do {
    read_both(&elapsed_ns, &ticks);
    elapsed_ns -= clock->start_ns;
    ticks -= clock->start_ticks;
  } while (elapsed_ns < base_ns);
  clock->hz = (double)ticks * 1e9 / (double)elapsed_ns;
}

void clock_mark(struct clock *clock) { read_both(&clock->start_ns, &clock->start_ticks); }

double clock_hz_since(const struct clock *clock) {
  uint64_t ns, ticks;
  read_both(&ns, &ticks);
  if (ns - clock->start_ns < BASE_NS) return 0;
  return (double)(ticks - clock->start_ticks) * 1e9 / (double)(ns - clock->start_ns);
}

void clock_start(struct clock *clock) {
  for (int i = 0; i < PAIRS; i++) {
    uint64_t begin = ticks_begin();
    differences[i] = ticks_clamp(ticks_end() - begin);
  }
  sort(differences, PAIRS);
  clock->overhead_ticks = differences[PAIRS / 2];
  clock->tail_ticks = differences[PAIRS * 99 / 100];
  clock->minimum_ticks = differences[0];
  clock->step_ticks = smallest_step(differences, PAIRS);
  clock_mark(clock);
  measure_rate(clock, FIRST_BASE_NS);
}

void clock_stop(struct clock *clock) { measure_rate(clock, BASE_NS); }
