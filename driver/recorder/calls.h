/* calls.h: what the files of the recorder that take a program's calls have in common.
 *
 * Each call goes on to the one behind. An allocator's own is one call; that of libstdc++'s new
 * calls malloc in turn, one form of it another, and an allocator's posix_memalign perhaps its
 * memalign. Such a call is written down once, as the program made it:
 *
 *     an allocation   leaves what it was `asked`. The first allocation within is written as that;
 *                     where there is none, it is written behind the call. One that was left by an
 *                     exception is found by its frame, by the thread's next allocation, and has
 *                     failed: to be told at once would take a personality routine, and those of
 *                     two unwinders in one program do not go together.
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

/* Whether the calling thread has its short way: the functions behind are known, and an event has
 * but to be put where the last one was. */
static inline bool nothing_hinders(void) { return __builtin_expect(caller.hindrances == 0, 1); }

/* Whether the functions behind are known, and the recording of this process has begun if there
 * is one. */
static inline bool calls_are_ready(void) {
  return __builtin_expect(next.ready, 1) || calls_prepare();
}

static inline unsigned log2_of(size_t alignment) {
  return alignment == 0 ? 0 : (unsigned)__builtin_ctzll(alignment);
}

/* ---- Allocations ---------------------------------------------------------------------------- */

static inline void write_birth(unsigned entry, const void *block, size_t size, size_t alignment,
                               size_t extra) {
  unsigned kind = block != NULL ? KIND_ALLOCATION : KIND_FAILED;
  lane_append(event_name(kind, entry, log2_of(alignment), (uintptr_t)block), size, extra);
}

/* The most that libraries add to what they were asked: they round up to the alignment. */
static inline bool may_stand_for(size_t size, const struct asked *asked) {
  return size >= asked->size && size - asked->size <= asked->alignment + 64;
}

/* Of the function that this is inlined into: equal for two that one function calls. */
#define OWN_FRAME ((uintptr_t)__builtin_dwarf_cfa())
/* What few calls need, so that the others' way has nothing of it. */
#define OTHERWISE __attribute__((noinline, cold))

/* A call that did not return to us. */
static inline bool asked_is_over(const struct asked *asked, uintptr_t frame) {
  return frame >= asked->frame; /* stacks grow downwards */
}

static inline void asked_write(const struct asked *asked, const void *block) {
  write_birth(asked->entry, block, asked->size, asked->alignment, 0);
}

/* What was asked for, which nothing stands for any more. */
static inline struct asked asked_take(void) {
  struct asked asked = caller.asked;
  caller_set_asked(&(struct asked){.entry = 0});
  return asked;
}

/* Whether an allocation is to be written as what is asked, and not as itself. */
static inline bool asked_is_this(size_t size, uintptr_t frame) {
  const struct asked *asked = &caller.asked;
  if (__builtin_expect(asked->entry == 0, 1)) return false;
  if (asked_is_over(asked, frame)) {
    struct asked over = asked_take();
    asked_write(&over, NULL);
    return false;
  }
  return may_stand_for(size, asked);
}

/* A call between its begin and its end. */
struct asking {
  struct asked before;
  uintptr_t frame;
  bool is_mine; /* false: it is another one's, within which it was made */
};

INLINED void asked_begin(struct asking *asking, unsigned entry, size_t size, size_t alignment) {
  calls_are_ready();
  asking->frame = OWN_FRAME;
  asking->is_mine = !asked_is_this(size, asking->frame);
  if (!asking->is_mine) return;
  asking->before = caller.asked;
  caller_set_asked(&(struct asked){size, alignment, asking->frame, entry});
}

static inline void *asked_end(const struct asking *asking, void *block) {
  if (!asking->is_mine) return block;
  struct asked asked = caller.asked;
  caller_set_asked(&asking->before);
  if (asked.entry != 0 && asked.frame == asking->frame) asked_write(&asked, block);
  return block;
}

/* ---- Frees ---------------------------------------------------------------------------------- */

static inline void write_touched(const void *block, size_t bytes) {
  lane_append(event_name(KIND_TOUCHED, ENTRY_NONE, 0, (uintptr_t)block), bytes, 0);
}

/* Before the death of a block, where there is somebody to ask. */
static inline void tell_touched(const void *block) {
  size_t bytes;
  if (__builtin_expect(next.touched_bytes == NULL, 1)) return;
  if (next.touched_bytes(block, &bytes)) write_touched(block, bytes);
}

/* By a call that is not over. */
static inline bool was_freed(const void *block) { return caller.freed == (uintptr_t)block + 1; }

/* What `freed` is to be again behind the call: another's, where a signal handler frees. */
static inline uintptr_t freed_begin(unsigned entry, const void *block, size_t size,
                                    size_t alignment) {
  uintptr_t before = caller.freed;
  if (!calls_are_ready() || bootstrap_contains(block)) return before;
  if (was_freed(block)) return before;
  tell_touched(block);
  lane_append(event_name(KIND_FREE, entry, log2_of(alignment), (uintptr_t)block), size, 0);
  caller_set_freed((uintptr_t)block + 1);
  return before;
}

static inline bool is_written(const void *block) {
  if (!was_freed(block)) return false;
  caller_set_freed(0);
  return true;
}

#endif
