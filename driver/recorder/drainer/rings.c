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

static void read_event(struct ring_end *end, uint64_t name, uint64_t value) {
  end->time += value & UINT32_MAX;
  uint64_t size = end->is_wide ? end->wide : value >> 32;
  end->event = (struct whole_event){name, size, end->extra, end->time};
  end->is_wide = false;
  end->extra = 0;
  end->holds = true;
}

enum ring_next rings_next(struct ring_end *end) {
  while (!end->holds && end->taken != end->limit) {
    const struct event *event = &end->events[end->taken++ % RING_EVENTS];
    uint64_t name = __atomic_load_n(&event->name, __ATOMIC_RELAXED);
    uint64_t value = __atomic_load_n(&event->value, __ATOMIC_RELAXED);
    unsigned kind = event_kind(name);
    if (kind > KIND_TIME || kind == KIND_INHERITED || event_entry(name) >= EVENT_ENTRIES)
      return RING_DAMAGED;
    if (kind == KIND_EXTRA) {
      end->extra = value;
    } else if (kind == KIND_WIDE) {
      end->wide = value;
      end->is_wide = true;
    } else if (kind == KIND_TIME) {
      if (value > end->time) end->time = value;
    } else {
      read_event(end, name, value);
    }
  }
  return end->holds ? RING_EVENT : RING_EMPTY;
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
    now += value & UINT32_MAX;
    if (now <= time && event_is(name, kinds, address)) return true;
  }
  return false;
}
