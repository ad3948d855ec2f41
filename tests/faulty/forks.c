/* forks: in its third malloc.
 *
 *   lingers   a child leaves group and session, and stays; so does its own child
 *   runs-on   the child returns from malloc as well, and goes on as a second driver
 *   many      a hundred children that sleep, every other one in a session of its own.
 *             Neither they nor it fork any further: a bomb that really grows would have
 *             the machine that runs the tests, before anybody could end it */
#include "correct.h"

#include <sys/types.h>

static void linger(void) {
  if (fork() != 0) return;
  setsid();
  pid_t grandchild = fork();
  if (grandchild == 0) setsid();
  for (;;) pause();
}

#define MANY 100

static void start_many(void) {
  for (int i = 0; i < MANY; i++) {
    if (fork() != 0) continue;
    if (i % 2) setsid();
    for (;;) pause();
  }
  for (;;) pause();
}

static void *faulty_malloc(size_t size) {
  if (mallocs != 2) return correct_malloc(size);
  if (is("lingers")) linger();
  if (is("runs-on") && fork() < 0) return NULL;
  if (is("many")) start_many();
  return correct_malloc(size);
}

PLUGIN(.init = correct_init, .fini = correct_fini, .malloc = faulty_malloc, .free = correct_free)
