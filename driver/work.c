#include "work.h"

#include <stddef.h>
#include <unistd.h>

#include "base/clock.h"

/* Long enough that the fences are a fiftieth of it. */
#define LONG_CHAIN 512
/* As many in one reading of the clock as make its own cost and step small; the median of an
 * odd number of readings: others may have the CPU in some. */
#define READING_NS 100000.0
#define MOST_AT_ONCE 256
#define READINGS 15

static double time_once(uint64_t iterations, uint32_t times) {
  uint64_t start_ns = now_ns();
  for (uint32_t i = 0; i < times; i++) work_do(iterations);
  return (double)(now_ns() - start_ns) / times;
}

/* Nanoseconds of one piece of work, as it follows on another. */
static double time_of(uint64_t iterations, uint32_t times) {
  double sorted[READINGS];
  for (size_t i = 0; i < READINGS; i++) {
    double ns = time_once(iterations, times);
    size_t hole = i;
    for (; hole > 0 && sorted[hole - 1] > ns; hole--) sorted[hole] = sorted[hole - 1];
    sorted[hole] = ns;
  }
  return sorted[READINGS / 2];
}

static uint32_t at_once(double ns) {
  double times = READING_NS / ns;
  if (times < 1) return 1;
  return times < MOST_AT_ONCE ? (uint32_t)times : MOST_AT_ONCE;
}

static uint64_t at_least_one(double iterations) {
  return iterations >= 1 ? (uint64_t)iterations : 1;
}

/* As if there were no fences; then by so many less as that came out too long. */
static uint64_t calibrated(uint32_t asked_ns) {
  double each_ns = time_of(LONG_CHAIN, MOST_AT_ONCE) / LONG_CHAIN;
  uint64_t iterations = at_least_one(asked_ns / each_ns);
  double over_ns = time_of(iterations, at_once(asked_ns)) - asked_ns;
  return at_least_one((double)iterations - over_ns / each_ns + 0.5);
}

void work_sleep(uint64_t ns) { usleep((useconds_t)(ns / 1000u)); }

void work_prepare(struct work *work, uint32_t asked_ns, uint64_t iterations) {
  work->asked_ns = asked_ns;
  if (asked_ns == 0) return;
  work->iterations = iterations ? iterations : calibrated(asked_ns);
  work->ns = time_of(work->iterations, at_once(asked_ns));
}

void work_report(const struct work *work, struct json *json) {
  if (work->done == 0) return;
  json_open(json, "work");
  json_integer(json, "asked_ns", work->asked_ns);
  json_double(json, "measured_ns", time_of(work->iterations, at_once(work->ns)));
  json_integer(json, "iterations_per_op", work->iterations);
  json_integer(json, "iterations", work->done);
  json_close(json);
}
