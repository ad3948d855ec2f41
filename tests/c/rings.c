/* rings TICKS: writes what two threads may have left in their rings into the arena of a drainer
 * (ALLOCPHASE_RECORDER), without being recorded itself.
 *
 *     thread 0                          thread 1
 *                                       allocates OLD, allocates HANDED
 *     frees HANDED, TICKS too early
 *                                       frees OLD, allocates NEW at its address
 *     frees NEW, allocates LAST
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "recorder/arena.h"
#include "recorder/ticks.h"

#define HANDED 0x1000u
#define OLD_AND_NEW 0x7000u
#define LAST 0x9000u

static struct arena *arena;

static void write_event(unsigned ring, enum kind kind, uint64_t address, uint64_t size,
                        uint32_t ticks_later) {
  struct ring *to = &arena->rings[ring];
  enum entry entry = kind == KIND_FREE ? ENTRY_FREE : ENTRY_MALLOC;
  ring_events(arena, ring)[to->head++] =
      (struct event){event_name(kind, entry, 0, address), size << 32 | ticks_later};
}

static void begin_ring(unsigned ring, serial_t process, uint64_t birth) {
  struct ring *to = &arena->rings[ring];
  memset(to, 0, sizeof *to);
  to->thread = ring;
  to->process = process;
  to->birth = birth;
}

int main(int count, char **words) {
  uint32_t early = count > 1 ? (uint32_t)atoi(words[1]) : 0;
  int fd = open(getenv("ALLOCPHASE_RECORDER"), O_RDWR);
  arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (arena == MAP_FAILED) return 1;
  struct arena_process *process = &arena->processes[0];
  process->origin = ORIGIN_EXEC;
  process->pid = getpid();
  process->pid_space = arena->head.pid_space;
  process->serial = ++arena->head.next_serial;
  process->start = ticks_of_counter();
  process->threads = 2;
  begin_ring(0, process->serial, process->start);
  begin_ring(1, process->serial, process->start);
  write_event(1, KIND_ALLOCATION, OLD_AND_NEW, 32, 100);
  write_event(1, KIND_ALLOCATION, HANDED, 33, 900);
  write_event(1, KIND_FREE, OLD_AND_NEW, 0, 100000);
  write_event(1, KIND_ALLOCATION, OLD_AND_NEW, 64, 100);
  write_event(0, KIND_FREE, HANDED, 0, 1000 - early);
  write_event(0, KIND_FREE, OLD_AND_NEW, 0, 200000);
  write_event(0, KIND_ALLOCATION, LAST, 16, 1000);
  arena->rings[0].state = arena->rings[1].state = SLOT_LIVE;
  arena->head.ring_limit = 2;
  arena->head.process_limit = 1;
  nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* all of it is in the past */
  __atomic_store_n(&process->state, SLOT_LIVE, __ATOMIC_RELEASE);
  nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* and is seen while we live */
  return 0;
}
