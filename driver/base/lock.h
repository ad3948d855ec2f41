/* lock.h: a lock that says whether it was contended, as no pthread mutex does.
 *
 * A word: 0 free, 1 taken, 2 taken and somebody may sleep (U. Drepper, "Futexes are
 * tricky", 2011). Zeroed memory is a lock that is free. errno stays as it is.
 */
#ifndef ALLOCPHASE_LOCK_H
#define ALLOCPHASE_LOCK_H

#include <errno.h>
#include <stdbool.h>

#include "base/futex.h"

__attribute__((noinline, unused)) static void lock_wait(uint32_t *lock) {
  int error = errno;
  while (__atomic_exchange_n(lock, 2, __ATOMIC_ACQUIRE) != 0) futex_wait(lock, 2);
  errno = error;
}

__attribute__((noinline, unused)) static void lock_wake(uint32_t *lock) {
  int error = errno;
  futex_wake_one(lock);
  errno = error;
}

/* Returns whether the caller had to wait. */
static inline bool lock_take(uint32_t *lock) {
  uint32_t seen = 0;
  if (__atomic_compare_exchange_n(lock, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
    return false;
  lock_wait(lock);
  return true;
}

/* Returns whether somebody was woken. */
static inline bool lock_drop(uint32_t *lock) {
  if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) != 2) return false;
  lock_wake(lock);
  return true;
}

#endif
