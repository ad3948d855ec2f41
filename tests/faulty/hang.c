/* hang: never returns from its third malloc: it spins, sleeps, waits for a lock that it
 * holds itself, or stops the process; or it spins in init or in fini. */
#include "correct.h"

#include <pthread.h>
#include <signal.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void spin(void) {
  for (volatile int on = 1; on;) continue;
}

static void hang(void) {
  if (is("spin")) spin();
  while (is("sleep")) pause();
  if (is("stop")) raise(SIGSTOP);
  if (is("deadlock")) {
    pthread_mutex_lock(&lock);
    pthread_mutex_lock(&lock);
  }
}

static int faulty_init(const struct allocphase_config *config) {
  int error = correct_init(config);
  if (is("init")) spin();
  return error;
}

static void *faulty_malloc(size_t size) {
  if (mallocs == 2) hang();
  return correct_malloc(size);
}

static void faulty_fini(void) {
  if (is("fini")) spin();
  correct_fini();
}

PLUGIN(.init = faulty_init, .fini = faulty_fini, .malloc = faulty_malloc, .free = correct_free)
