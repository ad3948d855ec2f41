/* bootstrap.h: memory for what cannot be asked of the plug-in.
 *
 * That is what the linker and constructors ask for before the plug-in is there, what its
 * loading and its init ask for, and what a call of the plug-in's asks for itself, such as a
 * libc function that it uses.
 *
 *     arena | frame | block | frame | block |          never used             |
 *
 * One reserve of addresses, so that one comparison tells its blocks from the plug-in's.
 * Blocks have sizes of powers of two; freed ones are used again, last in first out, by the
 * next of their size. Little goes through here, so simple is better than dense.
 */
#ifndef ALLOCPHASE_BOOTSTRAP_H
#define ALLOCPHASE_BOOTSTRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory, or NULL with ENOMEM when all is used up. Alignments: powers of two. */
void *bootstrap_new(size_t alignment, size_t size);
size_t bootstrap_usable_size(const void *block);
void bootstrap_free(void *block);

#define BOOTSTRAP_BYTES ((size_t)64 << 20)

extern uintptr_t bootstrap_arena; /* 0 before its first use */

/* NULL lies in no arena, also before there is one. */
static inline bool bootstrap_contains(const void *block) {
  uintptr_t start = __atomic_load_n(&bootstrap_arena, __ATOMIC_ACQUIRE);
  return (uintptr_t)block - start < BOOTSTRAP_BYTES && start != 0;
}

/* How many blocks it has handed out so far. */
size_t bootstrap_count(void);

/* Around fork: nobody else is in the middle of it. */
void bootstrap_before_fork(void);
void bootstrap_after_fork(void);

#endif
