/* handover.h: how a slot goes from one thread to another without a lock.
 *
 * Each slot has a word that counts its operations so far (its epoch). The thread
 * that works on a slot before another one stores the next epoch with release;
 * the other waits for that epoch with acquire: first it spins, then it sleeps on
 * the word with its top bit set, which tells the first to wake it. Operations
 * between two of the same thread touch no word.
 */
#ifndef ALLOCPHASE_HANDOVER_H
#define ALLOCPHASE_HANDOVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "system.h"

/* About 20 µs of pause instructions: longer than a slow malloc, shorter than a
 * turn of the scheduler. */
#define HANDOVER_SPINS 512
#define HANDOVER_SLEEPER 0x80000000u

static inline void spin_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("yield");
#endif
}

/* Returns whether it had to wait. */
static inline bool handover_wait(uint32_t *word, uint32_t epoch) {
  _Atomic uint32_t *atomic = (_Atomic uint32_t *)word;
  uint32_t seen = atomic_load_explicit(atomic, memory_order_acquire);
  if ((seen & ~HANDOVER_SLEEPER) == epoch) return false;
  for (int spin = 0; spin < HANDOVER_SPINS; spin++) {
    spin_pause();
    seen = atomic_load_explicit(atomic, memory_order_acquire);
    if ((seen & ~HANDOVER_SLEEPER) == epoch) return true;
  }
  for (;;) {
    if ((seen & ~HANDOVER_SLEEPER) == epoch) return true;
    uint32_t sleeping = seen | HANDOVER_SLEEPER;
    if (seen == sleeping || atomic_compare_exchange_strong(atomic, &seen, sleeping))
      futex_wait(word, sleeping);
    seen = atomic_load_explicit(atomic, memory_order_acquire);
  }
}

static inline void handover_post(uint32_t *word, uint32_t next_epoch) {
  _Atomic uint32_t *atomic = (_Atomic uint32_t *)word;
  uint32_t seen = atomic_exchange_explicit(atomic, next_epoch, memory_order_acq_rel);
  if (seen & HANDOVER_SLEEPER) futex_wake_all(word);
}

#endif
