/* threads.c: births and joins of threads, as the program asks for them.
 *
 * A thread gets its number from who creates it, so that its birth can be told from any other
 * thread's; its lane begins before its function does. Threads that are made otherwise (C11's
 * thrd_create, clone) begin with their first event, and nobody is their parent.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#include "base/lock.h"
#include "preload/bootstrap.h"
#include "recorder/calls.h"
#include "recorder/image.h"
#include "recorder/next.h"

/* ---- Which number a pthread_t has ---------------------------------------------------------- */

/* In sets, so that a look-up is short; of a full one somebody is forgotten, and its join is not
 * told. */
#define SETS 2048u
#define WAYS 4u

struct known {
  pthread_t thread;
  uint32_t number; /* plus 1; 0: nobody */
};

static struct known known[SETS][WAYS];

static struct known *set_of(pthread_t thread) {
  return known[((uint64_t)thread >> 6) * 0x9e3779b97f4a7c15u >> 53];
}

_Static_assert(SETS == 1u << (64 - 53), "as many as the hash has values");

/* Signals are blocked: a handler must not find the lock taken by its own thread. */
static sigset_t take_known(void) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  lock_take(&image_own->known_lock);
  return before;
}

static void drop_known(const sigset_t *before) {
  lock_drop(&image_own->known_lock);
  pthread_sigmask(SIG_SETMASK, before, NULL);
}

static void know(pthread_t thread, uint32_t number) {
  sigset_t before = take_known();
  struct known *set = set_of(thread), *place = &set[number % WAYS];
  for (unsigned i = 0; i < WAYS; i++)
    if (set[i].number == 0) place = &set[i];
  for (unsigned i = 0; i < WAYS; i++)
    if (set[i].thread == thread) place = &set[i];
  *place = (struct known){thread, number + 1};
  drop_known(&before);
}

/* Its number plus 1; 0: not known. */
static uint32_t number_of(pthread_t thread) {
  if (image_own == NULL) return 0;
  uint32_t number = 0;
  sigset_t before = take_known();
  struct known *set = set_of(thread);
  for (unsigned i = 0; i < WAYS; i++)
    if (set[i].number != 0 && set[i].thread == thread) number = set[i].number;
  drop_known(&before);
  return number;
}

/* Another thread may have got its pthread_t meanwhile. */
static void forget(pthread_t thread, uint32_t number) {
  sigset_t before = take_known();
  struct known *set = set_of(thread);
  for (unsigned i = 0; i < WAYS; i++)
    if (set[i].number == number && set[i].thread == thread) set[i].number = 0;
  drop_known(&before);
}

/* ---- Births -------------------------------------------------------------------------------- */

struct start {
  void *(*function)(void *);
  void *argument;
  uint32_t number;
};

static void *run(void *given) {
  struct start start = *(struct start *)given;
  bootstrap_free(given);
  caller.number = start.number + 1;
  lane_begin();
  return start.function(start.argument);
}

static void note(enum note note, uint32_t number) {
  lane_append(event_name(KIND_NOTE, note, 0, number), 0, 0);
}

RECORDED int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                            void *(*function)(void *), void *argument) {
  if (!calls_are_ready() || next.pthread_create == NULL) return EAGAIN;
  struct start *start = NULL;
  lane_begin(); /* the process has a slot to take a number from */
  if (image_arena != NULL && image_own->slot != NULL)
    start = bootstrap_new(0, sizeof *start);
  if (start == NULL) return next.pthread_create(thread, attributes, function, argument);
  uint32_t number = lane_new_number();
  *start = (struct start){function, argument, number};
  note(NOTE_CREATE, number);
  int error = next.pthread_create(thread, attributes, run, start);
  if (error == 0) {
    know(*thread, number);
  } else {
    note(NOTE_CREATE_FAILED, number);
    bootstrap_free(start);
  }
  return error;
}

/* ---- Joins --------------------------------------------------------------------------------- */

/* Where it fails, the thread can still be joined. */
static int joined(int error, pthread_t thread, uint32_t number) {
  if (error != 0 || number == 0) return error;
  note(NOTE_JOINED, number - 1);
  forget(thread, number);
  return 0;
}

RECORDED int pthread_join(pthread_t thread, void **result) {
  if (!calls_are_ready()) return EINVAL;
  uint32_t number = number_of(thread);
  return joined(next.pthread_join(thread, result), thread, number);
}

RECORDED int pthread_tryjoin_np(pthread_t thread, void **result) {
  if (!calls_are_ready()) return EINVAL;
  uint32_t number = number_of(thread);
  return joined(next.pthread_tryjoin_np(thread, result), thread, number);
}

RECORDED int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *until) {
  if (!calls_are_ready()) return EINVAL;
  uint32_t number = number_of(thread);
  return joined(next.pthread_timedjoin_np(thread, result, until), thread, number);
}

RECORDED int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock,
                                  const struct timespec *until) {
  if (!calls_are_ready()) return EINVAL;
  uint32_t number = number_of(thread);
  return joined(next.pthread_clockjoin_np(thread, result, clock, until), thread, number);
}
