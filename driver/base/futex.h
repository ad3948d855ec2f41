/* futex.h: sleeping until a word changes. errno may change. */
#ifndef ALLOCPHASE_FUTEX_H
#define ALLOCPHASE_FUTEX_H

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Sleeps while *word == expected; wakes one sleeper, or all. */
static inline void futex_wait(uint32_t *word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static inline void futex_wake(uint32_t *word, int most) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, most, NULL, NULL, 0);
}

static inline void futex_wake_one(uint32_t *word) { futex_wake(word, 1); }
static inline void futex_wake_all(uint32_t *word) { futex_wake(word, INT_MAX); }

#endif
