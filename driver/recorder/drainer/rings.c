#include "recorder/drainer/rings.h"

void rings_open(struct ring_end *end, struct arena *arena, struct ring *ring) {
  *end = (struct ring_end){.ring = ring, .thread = ring->thread, .time = ring->birth};
  end->events = ring_events(arena, (size_t)(ring - arena->rings));
  end->taken = end->limit = ring->tail;
}

bool rings_look(struct ring_end *end) {
  uint64_t head = __atomic_load_n(&end->ring->head, __ATOMIC_ACQUIRE);
  if (head - end->taken > RING_EVENTS) return false;
  end->limit = head;
  return true;
}

enum ring_next rings_read(struct ring_end *end) {
  while (end->taken != end->limit) {
    const struct event *event = &end->events[end->taken++ % RING_EVENTS];
    uint64_t name = __atomic_load_n(&event->name, __ATOMIC_RELAXED);
    uint64_t value = __atomic_load_n(&event->value, __ATOMIC_RELAXED);
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

bool rings_have(const struct ring_end *end, unsigned kinds, uint64_t address, uint64_t time) {
  if (end->holds && end->event.time <= time && event_is(end->event.name, kinds, address))
    return true;
  uint64_t now = end->time;
  for (uint64_t at = end->taken; at != end->limit && now <= time; at++) {
    const struct event *event = &end->events[at % RING_EVENTS];
    uint64_t name = __atomic_load_n(&event->name, __ATOMIC_RELAXED);
    uint64_t value = __atomic_load_n(&event->value, __ATOMIC_RELAXED);
    unsigned kind = event_kind(name);
    if (kind == KIND_TIME && value > now) now = value;
    if (kind >= KIND_WIDE) continue;
    now += event_ticks(value);
    if (now <= time && event_is(name, kinds, address)) return true;
  }
  return false;
}
