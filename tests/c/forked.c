/* forked BLOCKS: writes what a parent and its forked child may have left in their rings into the
 * arena of a drainer (ALLOCPHASE_RECORDER), without being recorded itself: the parent allocates
 * BLOCKS blocks and forks, and the child frees them, long before the drainer is done with the
 * parent.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "recorder/arena.h"
#include "recorder/ticks.h"

#define FORK 1

static struct arena *arena;

static void write_event(unsigned ring, uint64_t name, uint64_t size) {
  struct ring *to = &arena->rings[ring];
  ring_events(arena, ring)[to->head++] = (struct event){name, size << 32 | 1};
}

static void begin_process(unsigned number, enum origin origin) {
  struct arena_process *process = &arena->processes[number];
  struct ring *ring = &arena->rings[number]; /* of its one thread */
  process->origin = origin;
  process->pid = process->parent_pid = getpid();
  process->serial = ++arena->head.next_serial;
  process->start = ring->birth = ticks_of_counter();
  process->threads = 1;
  ring->process = process->serial;
}

int main(int count, char **words) {
  uint64_t blocks = count > 1 ? strtoull(words[1], NULL, 10) : 0;
  int fd = open(getenv("ALLOCPHASE_RECORDER"), O_RDWR);
  arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (arena == MAP_FAILED || blocks >= RING_EVENTS) return 1;
  begin_process(0, ORIGIN_EXEC);
  for (uint64_t i = 1; i <= blocks; i++)
    write_event(0, event_name(KIND_ALLOCATION, ENTRY_MALLOC, 0, i << 4), i);
  write_event(0, event_name(KIND_NOTE, (unsigned)NOTE_FORK, 0, FORK), 0);
  begin_process(1, ORIGIN_FORK);
  arena->processes[1].parent = arena->processes[0].serial;
  arena->processes[1].fork = FORK;
  for (uint64_t i = 1; i <= blocks; i++)
    write_event(1, event_name(KIND_FREE, ENTRY_FREE, 0, i << 4), 0);
  arena->rings[0].state = arena->rings[1].state = SLOT_LIVE;
  arena->head.ring_limit = arena->head.process_limit = 2;
  nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* all of it is in the past */
  __atomic_store_n(&arena->processes[0].state, SLOT_LIVE, __ATOMIC_RELEASE);
  __atomic_store_n(&arena->processes[1].state, SLOT_LIVE, __ATOMIC_RELEASE);
  nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* and is seen while we live */
  return 0;
}
