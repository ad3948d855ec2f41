/* threads: init starts one that sleeps for ever, or one that spins for ever. */
#include "correct.h"

#include <pthread.h>

static void *run(void *unused) {
  while (is("sleeps")) pause();
  for (volatile int on = 1; on;) continue;
  return unused;
}

static int faulty_init(const struct allocphase_config *config) {
  pthread_t thread;
  int error = correct_init(config);
  if (!error && !is("none")) error = pthread_create(&thread, NULL, run, NULL);
  return error;
}

PLUGIN(.init = faulty_init, .fini = correct_fini, .malloc = correct_malloc, .free = correct_free)
