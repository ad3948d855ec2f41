/* main.c: allocphase-recorder, the drainer: reads what recorded processes write into their rings
 * and gives it on in chunks (output.h).
 *
 * It makes the arena, says on standard output where that is, and goes on until a byte comes on
 * standard input: what it says, `stop_kind`, or the end, where whoever started it is gone. Then
 * it takes what is there, unless a limit is why, tells of each process that still lives, and ends.
 * In between it sleeps for a millisecond where it has nothing to do: a ring lasts for some ten of
 * the fastest program that was found, and who finds its ring full waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "recorder/arena.h"
#include "recorder/drainer/images.h"
#include "recorder/drainer/output.h"
#include "recorder/drainer/rings.h"
#include "recorder/ticks.h"

#define EXIT_NO_ARENA 11
#define EXIT_DAMAGED 14
#define IDLE_NS 1000000
#define LOOK_FOR_ENDS_NS 20000000u
#define MOST_HERTZ 3e8 /* of the recording: a tick is some four nanoseconds */

enum stop_kind { STOP_COMMAND_ENDED = 'e', STOP_LIMIT = 'l' };

static struct arena *arena;
static int arena_fd;
static uint64_t arena_peak_bytes;

static uint64_t monotonic_ns(void) { return ticks_of_system(); }

/* ---- The clock ------------------------------------------------------------------------------ */

/* Whether the processor's counter runs alike on all cores, whatever they do otherwise. */
static bool counter_is_steady(void) {
#if defined(__x86_64__)
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) && (edx & 1u << 8) != 0;
#else
  return true;
#endif
}

static uint64_t start_ticks, start_ns;
static struct time_scale scale;

/* Since the beginning. */
static double raw_hertz(void) {
  uint64_t ns = monotonic_ns() - start_ns;
  return ns == 0 ? 1e9 : (double)(scale.ticks() - start_ticks) * 1e9 / (double)ns;
}

static double hertz(void) { return raw_hertz() / (double)(1u << scale.shift); }

#define READINGS 1000
#define TURNS 15

/* The fastest of some turns: nobody interrupted that one. */
static double raw_ticks_a_reading(void) {
  uint64_t least = UINT64_MAX;
  for (int turn = 0; turn < TURNS; turn++) {
    uint64_t from = scale.ticks(), to = from;
    for (int i = 0; i < READINGS; i++) to = scale.ticks();
    if (to - from < least) least = to - from;
  }
  return (double)least / READINGS;
}

static void start_clock(void) {
  bool steady = counter_is_steady();
  struct timespec now;
  arena->head.clock = scale.clock = steady ? TICKS_COUNTER : ARENA_MONOTONIC;
  scale.ticks = steady ? ticks_of_counter : ticks_of_system;
  clock_gettime(CLOCK_REALTIME, &now);
  scale.started_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  start_ns = monotonic_ns();
  scale.zero = start_ticks = scale.ticks();
  while (monotonic_ns() - start_ns < 2000000u) continue; /* enough to know its order */
  scale.microsecond = (uint64_t)(raw_hertz() / 1e6) + 1;
  scale.reading_ns = raw_ticks_a_reading() * 1e9 / raw_hertz();
  while (hertz() > MOST_HERTZ) scale.shift++;
}

/* ---- The arena ------------------------------------------------------------------------------ */

static uint64_t own_pid_space(void) {
  struct stat facts;
  return stat("/proc/self/ns/pid", &facts) == 0 ? (uint64_t)facts.st_ino : 0;
}

static bool make_arena(void) {
  arena_fd = memfd_create("allocphase-recorder", MFD_CLOEXEC);
  if (arena_fd < 0 || ftruncate(arena_fd, (off_t)ARENA_BYTES) != 0) return false;
  int flags = MAP_SHARED | MAP_NORESERVE;
  void *found = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, flags, arena_fd, 0);
  if (found == MAP_FAILED) return false;
  arena = found;
  start_clock();
  arena->head.drainer = getpid();
  arena->head.pid_space = own_pid_space();
  arena->head.magic = ARENA_MAGIC;
  return true;
}

static void look_at_arena(void) {
  struct stat facts;
  if (fstat(arena_fd, &facts) != 0) return;
  uint64_t bytes = (uint64_t)facts.st_blocks * 512;
  if (bytes > arena_peak_bytes) arena_peak_bytes = bytes;
}

static void say_ready(void) {
  char path[64];
  int bytes = snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), arena_fd);
  struct frame frame = {.kind = FRAME_READY, .bytes = (uint32_t)bytes};
  output(&frame, sizeof frame);
  output(path, (size_t)bytes);
}

static void say_end(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  uint64_t cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
                    (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  struct end_frame end = {.images = images_count(),
                          .refused = arena->head.refused,
                          .peak_rss_bytes = (uint64_t)usage.ru_maxrss * 1024,
                          .arena_bytes = arena_peak_bytes,
                          .cpu_ns = cpu_us * 1000};
  struct frame frame = {.kind = FRAME_END, .bytes = sizeof end};
  output(&frame, sizeof frame);
  output(&end, sizeof end);
}

/* ---- The loop ------------------------------------------------------------------------------- */

/* 0: go on. Where nobody is left who could say so, the command is taken to have ended. */
static int asked_to_stop(bool may_sleep) {
  struct pollfd look = {.fd = STDIN_FILENO, .events = POLLIN};
  struct timespec idle = {.tv_nsec = may_sleep ? IDLE_NS : 0};
  if (ppoll(&look, 1, &idle, NULL) != 1) return 0;
  char byte = STOP_COMMAND_ENDED;
  ssize_t bytes = read(STDIN_FILENO, &byte, 1);
  return bytes == 1 ? byte : STOP_COMMAND_ENDED;
}

/* False: some is left. */
static bool pass(bool looks) {
  enum pass passed = images_pass(hertz(), looks);
  if (passed != PASS_DAMAGED) return passed == PASS_ALL;
  __atomic_store_n(&arena->head.stopped, 1, __ATOMIC_RELAXED);
  _Exit(EXIT_DAMAGED);
}

static int drain(void) {
  int stop = 0;
  for (uint64_t looked = 0; stop == 0;) {
    uint64_t now = monotonic_ns();
    if (now - looked > LOOK_FOR_ENDS_NS) {
      images_look_for_ends();
      look_at_arena();
      looked = now;
    }
    bool is_idle = pass(true);
    stop = asked_to_stop(is_idle);
  }
  return stop;
}

/* The one argument: how many bytes the backlogs may have. Without it a block each. */
int main(int count, char **words) {
  signal(SIGPIPE, SIG_IGN);
  if (count > 1) rings_limit(strtoull(words[1], NULL, 10));
  if (!make_arena()) return EXIT_NO_ARENA;
  output_stopped = &arena->head.stopped;
  images_open(arena, &scale);
  say_ready();
  int stop = drain();
  __atomic_store_n(&arena->head.stopped, 1, __ATOMIC_RELAXED);
  look_at_arena();
  images_look_for_ends();
  if (stop != STOP_LIMIT)
    for (bool is_over = pass(true); !is_over;) is_over = pass(false);
  images_close(stop == STOP_LIMIT ? ENDED_LIMIT : ENDED_RUNNING, hertz());
  say_end();
  return 0;
}
