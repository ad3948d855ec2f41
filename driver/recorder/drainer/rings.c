#include "recorder/drainer/rings.h"

#include <string.h>

#include "recorder/drainer/memory.h"

/* ---- Backlogs ------------------------------------------------------------------------------ */

static struct block *spare; /* blocks that were read: the last one is still in the cache */
static size_t blocks, most_blocks;

void rings_limit(size_t bytes) { most_blocks = bytes / sizeof(struct block); }

/* At the backlog's end. False: all of them have what they may have. */
static bool add_block(struct ring_end *end, bool beyond_limit) {
  if (blocks >= most_blocks && !beyond_limit) return false;
  struct block *block = spare;
  if (block != NULL) spare = block->next;
  else block = memory_resize(NULL, sizeof *block);
  blocks++;
  block->next = NULL;
  block->count = 0;
  if (end->last != NULL) end->last->next = block;
  else end->first = block;
  end->last = block;
  return true;
}

static void read_block(struct ring_end *end, const struct event *at) {
  end->at = at;
  end->block_end = end->first->events + end->first->count;
}

/* The first one was read. False: it was the last. */
static bool leave_block(struct ring_end *end) {
  struct block *block = end->first;
  end->first = block->next;
  block->next = spare;
  spare = block;
  blocks--;
  if (end->first != NULL) {
    read_block(end, end->first->events);
    return true;
  }
  end->last = NULL;
  end->at = end->block_end = NULL;
  return false;
}

static size_t least_of(size_t one, size_t other) { return one < other ? one : other; }

/* Out of the ring, until the last look at it, as much as the limit allows; with `beyond_limit` at
 * least some of it. What was taken may be written over. */
static void take(struct ring_end *end, bool beyond_limit) {
  if (end->taken == end->limit) return;
  bool was_empty = end->first == NULL;
  while (end->taken != end->limit) {
    bool is_full = end->last == NULL || end->last->count == BLOCK_EVENTS;
    if (is_full && !add_block(end, beyond_limit)) break;
    beyond_limit = false;
    struct block *block = end->last;
    size_t place = end->taken % RING_EVENTS;
    size_t count = least_of(BLOCK_EVENTS - block->count, RING_EVENTS - place);
    count = least_of(count, end->limit - end->taken);
    memcpy(block->events + block->count, end->events + place, count * sizeof(struct event));
    block->count += count;
    end->taken += count;
  }
  if (end->first != NULL) read_block(end, was_empty ? end->first->events : end->at);
  __atomic_store_n(&end->ring->tail, end->taken, __ATOMIC_RELEASE);
}

/* ---- Events -------------------------------------------------------------------------------- */

void rings_open(struct ring_end *end, struct arena *arena, struct ring *ring) {
  *end = (struct ring_end){.ring = ring, .thread = ring->thread, .time = ring->birth};
  end->events = ring_events(arena, (size_t)(ring - arena->rings));
  end->taken = end->limit = ring->tail;
}

void rings_close(struct ring_end *end) {
  while (end->first != NULL) leave_block(end);
}

bool rings_look(struct ring_end *end) {
  uint64_t head = __atomic_load_n(&end->ring->head, __ATOMIC_ACQUIRE);
  if (head - end->taken > RING_EVENTS) return false;
  end->limit = head;
  take(end, end->first == NULL);
  return true;
}

static bool has_next(struct ring_end *end) {
  if (__builtin_expect(end->at != end->block_end, 1)) return true;
  if (end->first != NULL && leave_block(end)) return true;
  take(end, true);
  return end->first != NULL;
}

enum ring_next rings_read(struct ring_end *end) {
  while (has_next(end)) {
    uint64_t name = end->at->name, value = end->at->value;
    end->at++;
    unsigned kind = event_kind(name);
    if (kind > KIND_TIME || kind == KIND_INHERITED || event_entry(name) >= EVENT_ENTRIES)
      return RING_DAMAGED;
    if (__builtin_expect(kind < KIND_WIDE, 1)) {
      end->time += event_ticks(value);
      uint64_t size = end->is_wide ? end->wide : value >> 32;
      end->event = (struct whole_event){name, size, end->extra, end->time};
      end->is_wide = false;
      end->extra = 0;
      end->holds = true;
      return RING_EVENT;
    }
    if (kind == KIND_EXTRA) end->extra = value;
    if (kind == KIND_TIME && value > end->time) end->time = value;
    if (kind == KIND_WIDE) {
      end->wide = value;
      end->is_wide = true;
    }
  }
  return RING_EMPTY;
}

bool rings_have(struct ring_end *end, unsigned kinds, uint64_t address, uint64_t time) {
  if (end->holds && end->event.time <= time && event_is(end->event.name, kinds, address))
    return true;
  uint64_t now = end->time;
  const struct event *at = end->at;
  for (const struct block *block = end->first; block != NULL && now <= time;) {
    for (; at != block->events + block->count && now <= time; at++) {
      unsigned kind = event_kind(at->name);
      if (kind == KIND_TIME && at->value > now) now = at->value;
      if (kind >= KIND_WIDE) continue;
      now += event_ticks(at->value);
      if (now <= time && event_is(at->name, kinds, address)) return true;
    }
    if (block->next == NULL) take(end, true);
    block = block->next;
    if (block != NULL) at = block->events;
  }
  return false;
}
