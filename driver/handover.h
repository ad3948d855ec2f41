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

#include "base/clock.h"
#include "base/futex.h"

/* Longer than a slow malloc, shorter than a turn of the scheduler. By the clock: what a
 * pause costs differs a hundredfold between processors, and on some is nothing. */
#define HANDOVER_SPIN_NS 20000u
#define HANDOVER_PAUSES 16
#define HANDOVER_SLEEPER 0x80000000u

static inline void spin_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("yield");
#endif
}

/* Whether the word comes to `epoch` before it is time to sleep. */
static inline bool handover_spin(_Atomic uint32_t *word, uint32_t epoch) {
  for (uint64_t until_ns = 0;;) {
    for (int pause = 0; pause < HANDOVER_PAUSES; pause++) {
      spin_pause();
      uint32_t seen = atomic_load_explicit(word, memory_order_acquire);
      if ((seen & ~HANDOVER_SLEEPER) == epoch) return true;
    }
    uint64_t now = now_ns();
    if (until_ns == 0) until_ns = now + HANDOVER_SPIN_NS;
    if (now >= until_ns) return false;
  }
}

/* Returns whether it had to wait. */
static inline bool handover_wait(uint32_t *word, uint32_t epoch) {
  _Atomic uint32_t *atomic = (_Atomic uint32_t *)word;
  uint32_t seen = atomic_load_explicit(atomic, memory_order_acquire);
  if ((seen & ~HANDOVER_SLEEPER) == epoch) return false;
  if (handover_spin(atomic, epoch)) return true;
  for (;;) {
    seen = atomic_load_explicit(atomic, memory_order_acquire);
    if ((seen & ~HANDOVER_SLEEPER) == epoch) return true;
    uint32_t sleeping = seen | HANDOVER_SLEEPER;
    if (seen == sleeping || atomic_compare_exchange_strong(atomic, &seen, sleeping))
      futex_wait(word, sleeping);
  }
}

static inline void handover_post(uint32_t *word, uint32_t next_epoch) {
  _Atomic uint32_t *atomic = (_Atomic uint32_t *)word;
  uint32_t seen = atomic_exchange_explicit(atomic, next_epoch, memory_order_acq_rel);
  if (seen & HANDOVER_SLEEPER) futex_wake_all(word);
}

#endif
