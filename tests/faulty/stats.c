/* stats: says of itself what cannot be, or cannot be written down.
 *
 *   numbers  not a number, endless, negative, huge
 *   names    with quotes and control characters, no UTF-8, empty, none at all
 *   flood    a million of them, with names of a thousand characters
 *   lies     a hit rate of 700% and a pool of less than nothing */
#include "correct.h"

#include <math.h>

static void say_numbers(allocphase_stat_sink *sink, void *context) {
  sink(context, "nan", (double)NAN);
  sink(context, "endless", (double)INFINITY);
  sink(context, "negative", -1.5);
  sink(context, "huge", 1e300);
}

static void say_names(allocphase_stat_sink *sink, void *context) {
  sink(context, "a \"quoted\" \\ name\n\x1b[31m", 1);
  sink(context, "latin-1 \xe9 cut \xe2\x82", 2);
  sink(context, "", 3);
  sink(context, NULL, 4);
}

static void say_much(allocphase_stat_sink *sink, void *context) {
  static char name[1001];
  memset(name, 'n', sizeof name - 1);
  for (int i = 0; i < 1000000; i++) {
    for (int rest = i, digit = 0; digit < 7; digit++, rest /= 10)
      name[digit] = (char)('0' + rest % 10);
    sink(context, name, i);
  }
}

static void faulty_stats(allocphase_stat_sink *sink, void *context) {
  if (is("numbers")) say_numbers(sink, context);
  if (is("names")) say_names(sink, context);
  if (is("flood")) say_much(sink, context);
  if (is("lies")) {
    sink(context, "pool_hit_rate", 7);
    sink(context, "pool_used_bytes", -4096);
  }
}

PLUGIN(.init = correct_init, .fini = correct_fini, .malloc = correct_malloc, .free = correct_free,
       .stats = faulty_stats)
