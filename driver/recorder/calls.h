/* calls.h: what the files of the recorder that take a program's calls have in common.
 *
 * Each call goes on to the one behind. An allocator's own is one call; that of libstdc++'s new
 * calls malloc in turn, one form of it another, and an allocator's posix_memalign perhaps its
 * memalign. Such a call is written down once, as the program made it:
 *
 *     an allocation   leaves what it was `asked`. The first allocation within is written as that;
 *                     where there is none, it is written behind the call, also where that is left
 *                     by an exception.
 *     a free          is written before the call, and leaves the block's address (`freed`): a free
 *                     of it within is not written again.
 *
 * What a signal handler asks for meanwhile is written as its own: it has another size, or finds
 * nothing left.
 */
#ifndef ALLOCPHASE_RECORDER_CALLS_H
#define ALLOCPHASE_RECORDER_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/bootstrap.h"
#include "recorder/lane.h"
#include "recorder/next.h"

#define RECORDED __attribute__((visibility("default")))

bool calls_prepare(void);

/* Whether the functions behind are known, and the recording of this process has begun if there
 * is one. */
static inline bool calls_are_ready(void) {
  return __builtin_expect(next.ready, 1) || calls_prepare();
}

static inline unsigned log2_of(size_t alignment) {
  return alignment == 0 ? 0 : (unsigned)__builtin_ctzll(alignment);
}

/* ---- Allocations ---------------------------------------------------------------------------- */

struct asked {
  size_t size, alignment;
  unsigned entry;
  void *block; /* NULL: none yet */
  struct asked *before;
};

static inline void write_birth(unsigned entry, const void *block, size_t size, size_t alignment,
                               size_t extra) {
  unsigned kind = block != NULL ? KIND_ALLOCATION : KIND_FAILED;
  lane_append(event_name(kind, entry, log2_of(alignment), (uintptr_t)block), size, extra);
}

/* The most that libraries add to what they were asked: they round up to the alignment. */
static inline bool may_stand_for(size_t size, const struct asked *asked) {
  return size >= asked->size && size - asked->size <= asked->alignment + 64;
}

static inline void *born(unsigned entry, void *block, size_t size, size_t alignment, size_t extra) {
  const struct asked *asked = caller.asked;
  if (__builtin_expect(asked != NULL, 0) && may_stand_for(size, asked)) {
    caller.asked = asked->before;
    write_birth(asked->entry, block, asked->size, asked->alignment, 0);
  } else {
    write_birth(entry, block, size, alignment, extra);
  }
  return block;
}

/* Within another one of them it is that one's call. */
static inline void asked_begin(struct asked *asked) {
  calls_are_ready();
  asked->before = caller.asked;
  if (asked->before == NULL || !may_stand_for(asked->size, asked->before)) caller.asked = asked;
}

/* On the way out, be it by an exception: for __attribute__((cleanup)). */
static inline void asked_end(struct asked *asked) {
  if (caller.asked != asked) return;
  caller.asked = asked->before;
  write_birth(asked->entry, asked->block, asked->size, asked->alignment, 0);
}

/* ---- Frees ---------------------------------------------------------------------------------- */

/* What `freed` is to be again behind the call: another's, where a signal handler frees. */
static inline uintptr_t freed_begin(unsigned entry, const void *block, size_t size,
                                    size_t alignment) {
  uintptr_t before = caller.freed;
  if (!calls_are_ready() || bootstrap_contains(block)) return before;
  if (before == (uintptr_t)block + 1) return before;
  lane_append(event_name(KIND_FREE, entry, log2_of(alignment), (uintptr_t)block), size, 0);
  caller.freed = (uintptr_t)block + 1;
  return before;
}

static inline bool is_written(const void *block) {
  if (__builtin_expect(caller.freed != (uintptr_t)block + 1, 1)) return false;
  caller.freed = 0;
  return true;
}

#endif
