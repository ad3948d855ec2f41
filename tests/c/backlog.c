/* backlog BYTES: what a thread writes, now more and now less at a time, is read as it was written,
 * whatever backlogs may have; and the thread has its room back at every look that is within that. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "recorder/drainer/rings.h"

#define ROUNDS 300
#define LARGE ((uint64_t)1 << 32)
#define FAR (3 * BLOCK_EVENTS)

static struct arena *arena;
static uint64_t written, read_so_far; /* events but for those that tell of the next one */

static void require(bool holds, const char *what, uint64_t i) {
  if (holds) return;
  printf("%s: %llu\n", what, (unsigned long long)i);
  exit(1);
}

static uint64_t any(uint64_t below) {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state % below;
}

static void put(struct ring *ring, uint64_t name, uint64_t value) {
  ring_events(arena, 0)[ring->head % RING_EVENTS] = (struct event){name, value};
  ring->head++;
}

/* Each seventh is large, each fifth has a second number. */
static uint64_t size_of(uint64_t i) { return i % 7 == 0 ? LARGE + i : i; }
static uint64_t extra_of(uint64_t i) { return i % 5 == 0 ? i + 1 : 0; }

static void write_next(struct ring *ring) {
  uint64_t i = written++;
  if (extra_of(i) != 0) put(ring, KIND_EXTRA, extra_of(i));
  if (size_of(i) >= LARGE) put(ring, KIND_WIDE, size_of(i));
  put(ring, event_name(KIND_ALLOCATION, ENTRY_CALLOC, 0, i + 1), size_of(i) << 32 | 2);
}

static void read_next(struct ring_end *end) {
  uint64_t i = read_so_far++;
  require(rings_next(end) == RING_EVENT, "is missing", i);
  require(event_address(end->event.name) == i + 1, "is another one", i);
  require(end->event.size == size_of(i) && end->event.extra == extra_of(i), "numbers", i);
  require(end->event.time == 2 * (i + 1), "time", i);
  rings_use(end);
}

static size_t room(const struct ring *ring) { return RING_EVENTS - (ring->head - ring->tail); }

/* One that lies blocks ahead is found, and nothing before or behind. */
static void look_far(struct ring_end *end, struct ring *ring) {
  while (written < read_so_far + FAR) write_next(ring);
  require(rings_look(end), "look", read_so_far);
  require(rings_next(end) == RING_EVENT, "holds", read_so_far);
  uint64_t from = end->event.time, until = from + 2 * (FAR - 1);
  unsigned births = 1u << KIND_ALLOCATION;
  require(rings_have(end, births, read_so_far + 1, from), "has the first", read_so_far);
  require(rings_have(end, births, read_so_far + FAR, until), "has the last", read_so_far);
  require(!rings_have(end, births, read_so_far + FAR, until - 1), "too late", read_so_far);
  require(!rings_have(end, births, read_so_far, until), "was before", read_so_far);
  require(!rings_have(end, 1u << KIND_FREE, read_so_far + 1, until), "kind", read_so_far);
}

int main(int count, char **words) {
  if (count != 2) return 2;
  size_t most = strtoull(words[1], NULL, 10);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (arena == MAP_FAILED) return 2;
  struct ring *ring = &arena->rings[0];
  struct ring_end end;
  rings_limit(most);
  rings_open(&end, arena, ring);
  for (int round = 0; round < ROUNDS; round++) {
    for (uint64_t more = any(RING_EVENTS / 8); more > 0 && room(ring) >= 3; more--)
      write_next(ring);
    require(rings_look(&end), "look", written);
    uint64_t behind = written - read_so_far;
    bool is_within = 3 * behind * sizeof(struct event) < most;
    require(!is_within || room(ring) == RING_EVENTS, "has no room", behind);
    for (uint64_t i = any(behind + 1); i > 0; i--) read_next(&end);
  }
  while (read_so_far < written) read_next(&end);
  require(rings_next(&end) == RING_EMPTY && rings_are_used(&end), "is not empty", written);
  look_far(&end, ring);
  while (read_so_far < written) read_next(&end);
  look_far(&end, ring);
  rings_close(&end);
  ring->head += RING_EVENTS + 1;
  require(!rings_look(&end), "is not damaged", written);
  return 0;
}
