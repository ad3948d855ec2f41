/* replay.h: the steps that every replay loop shares; see replay.inc. */
#ifndef ALLOCPHASE_REPLAY_H
#define ALLOCPHASE_REPLAY_H

#include <string.h>

#include "handover.h"
#include "session.h"

#define PAGE_BYTES 4096u

static inline const struct allocphase_tag *replay_tag(const struct session *session,
                                                      const struct trace_op *op) {
  _Static_assert(sizeof(struct allocphase_tag) == sizeof(struct trace_tag), "one layout");
  return (const struct allocphase_tag *)&session->trace.tags[op->tag];
}

static inline size_t replay_round_up(size_t size, size_t alignment) {
  return (size + alignment - 1) & ~(alignment - 1);
}

/* The pointer in a register, here and not where it is used first: a compiler may not
 * move an empty asm, and a fence that follows waits for the load. */
static inline void *replay_at_hand(void *block) {
  __asm__ volatile("" : "+r"(block) : : "memory");
  return block;
}

/* What the program writes into bytes [from, to) of a new or grown object. */
static inline void replay_touch(void *object, size_t from, size_t to, enum trace_touch touch) {
  volatile char *bytes = object;
  if (touch == TRACE_TOUCH_NONE || from >= to) return;
  bytes[from] = 1;
  if (touch == TRACE_TOUCH_FIRST) return;
  if (touch == TRACE_TOUCH_ALL) {
    memset((char *)object + from, 1, to - from);
    __asm__ volatile("" ::"r"(object) : "memory"); /* the bytes are read elsewhere */
    return;
  }
  for (size_t at = from + PAGE_BYTES; at < to; at += PAGE_BYTES) bytes[at] = 1;
  bytes[to - 1] = 1;
}

static inline void replay_write(void *object, size_t size, uint32_t times) {
  volatile char *bytes = object;
  volatile uint64_t *word = object;
  for (uint32_t i = 0; i < times; i++) {
    if (size >= sizeof *word) *word += 1;
    else if (size > 0) *bytes = (char)(*bytes + 1);
  }
}

static inline void *replay_realloc(const struct allocphase_allocator *table,
                                   void *old_block, size_t old_size, size_t size) {
  void *block = table->malloc(size);
  if (!block) return NULL;
  memcpy(block, old_block, size < old_size ? size : old_size);
  table->free(old_block);
  return block;
}

#endif
