/* handloop.c: is the driver's replay loop close to the limit?
 *
 * One process replays a trace against libc in two ways, in turn: with the
 * driver's own loop, and with a loop written by hand that makes the same calls
 * from the same records with direct calls to malloc and free. Prints the median
 * nanoseconds per operation of each, and the median of their paired ratios.
 *
 *   handloop TRACE ROUNDS      a trace of malloc and free, one thread, touch first
 */
#include <stdio.h>
#include <stdlib.h>

#include "replay.h"
#include "subject.h"
#include "base/system.h"

#define REPLAY_NAME replay_driver
#define REPLAY_THREADED 0
#include "replay.inc"

#define PASS_NS 30000000u

void session_fail(struct worker *worker, uint64_t op, const char *status, const char *what) {
  (void)worker;
  (void)op;
  die(EXIT_TOOL, status, what);
}

static void **slots;

static void replay_by_hand(const struct trace *trace) {
  const struct trace_op *ops = trace->ops;
  for (uint64_t i = 0; i < trace->header->op_count; i++) {
    if (ops[i].kind == TRACE_MALLOC) {
      char *block = malloc(ops[i].size);
      slots[ops[i].slot] = block;
      *(volatile char *)block = 1;
    } else {
      free(slots[ops[i].slot]);
    }
  }
}

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return values[count / 2];
}

int main(int argc, char **argv) {
  static struct session session;
  static struct worker worker;
  struct refusal refusal;
  if (argc != 3) die(EXIT_USAGE, "usage", "handloop TRACE ROUNDS");
  const char *wrong = trace_open(&session.trace, argv[1]);
  if (wrong) die(EXIT_USAGE, argv[1], wrong);
  if (!subject_load(&session.subject, &session.options, 1, &refusal))
    die(EXIT_TOOL, refusal.status, refusal.message);
  int rounds = atoi(argv[2]);
  uint64_t ops = session.trace.header->op_count;
  session.cells = take_pages(session.trace.header->slot_count * sizeof *session.cells);
  slots = take_pages(session.trace.header->slot_count * sizeof *slots);
  worker = (struct worker){.session = &session, .ops = session.trace.ops};
  double *driver = take_pages((size_t)rounds * sizeof *driver);
  double *hand = take_pages((size_t)rounds * sizeof *hand);
  double *ratio = take_pages((size_t)rounds * sizeof *ratio);

  uint64_t start = now_ns();
  replay_by_hand(&session.trace);
  replay_driver(&worker, 0, ops);
  uint64_t replays = 2 * PASS_NS / (now_ns() - start + 1) + 1;
  for (int round = 0; round < rounds; round++) {
    start = now_ns();
    for (uint64_t r = 0; r < replays; r++) replay_driver(&worker, 0, ops);
    uint64_t middle = now_ns();
    for (uint64_t r = 0; r < replays; r++) replay_by_hand(&session.trace);
    uint64_t end = now_ns();
    driver[round] = (double)(middle - start) / (double)(replays * ops);
    hand[round] = (double)(end - middle) / (double)(replays * ops);
    ratio[round] = driver[round] / hand[round];
  }
  printf("{\"driver_ns\": %.4f, \"hand_ns\": %.4f, \"ratio\": %.4f}\n", median(driver, rounds),
         median(hand, rounds), median(ratio, rounds));
  return 0;
}
