#include "recorder/image.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/lock.h"
#include "preload/bootstrap.h"
#include "recorder/next.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

struct arena *image_arena;
struct own *image_own;

/* Of the process as it was before a fork: plain memory, that a child has a copy of. */
static serial_t known_serial;
static size_t known_unrecorded; /* calls of the linker's own, while it was asked */

static pid_t own_pid(void) { return (pid_t)syscall(SYS_getpid); } /* glibc's may be a copy */

static uint64_t pid_space(void) {
  struct stat facts;
  return stat("/proc/self/ns/pid", &facts) == 0 ? (uint64_t)facts.st_ino : 0;
}

static struct arena *arena_map(const char *path) {
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return NULL;
  struct stat facts;
  void *found = MAP_FAILED;
  if (fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size == (off_t)ARENA_BYTES)
    found = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  close(fd);
  if (found == MAP_FAILED) return NULL;
  struct arena *arena = found;
  if (arena->head.magic == ARENA_MAGIC) return arena;
  munmap(found, ARENA_BYTES);
  return NULL;
}

static struct own *own_map(void) {
  void *found = mmap(NULL, sizeof(struct own), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (found == MAP_FAILED) return NULL;
  if (madvise(found, sizeof(struct own), MADV_WIPEONFORK) == 0) return found;
  munmap(found, sizeof(struct own));
  return NULL; /* a kernel before 4.14: a child would write into its parent's rings */
}

bool image_open(void) {
  const char *path = getenv(ARENA_VARIABLE);
  if (path == NULL || path[0] != '/') return false;
  struct own *own = own_map();
  struct arena *arena = own == NULL ? NULL : arena_map(path);
  if (arena == NULL) return false;
  if (arena->head.clock == ARENA_MONOTONIC) lane_clock = LANE_SYSTEM;
  known_unrecorded = bootstrap_count();
  image_own = own;
  image_arena = arena;
  return true;
}

/* ---- A slot ------------------------------------------------------------------------------ */

static void describe_command(struct arena_process *slot) {
  int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t bytes = fd < 0 ? 0 : read(fd, slot->command, COMMAND_BYTES);
  if (fd >= 0) close(fd);
  slot->command_bytes = bytes > 0 ? (uint32_t)bytes : 0;
}

static void describe_allocator(struct arena_process *slot) {
  Dl_info info;
  void *address;
  memcpy(&address, &next.malloc, sizeof address);
  const char *name = dladdr(address, &info) && info.dli_fname ? info.dli_fname : "";
  size_t length = strnlen(name, ALLOCATOR_BYTES - 1);
  memcpy(slot->allocator, name, length);
  slot->allocator[length] = '\0';
}

static bool take(uint32_t *state, uint32_t *limit, uint32_t index) {
  uint32_t free_state = SLOT_FREE;
  if (__atomic_load_n(state, __ATOMIC_RELAXED) != SLOT_FREE) return false;
  if (!__atomic_compare_exchange_n(state, &free_state, SLOT_TAKEN, false, __ATOMIC_ACQUIRE,
                                   __ATOMIC_RELAXED))
    return false;
  uint32_t seen = __atomic_load_n(limit, __ATOMIC_RELAXED);
  while (seen <= index && !__atomic_compare_exchange_n(limit, &seen, index + 1, false,
                                                       __ATOMIC_RELEASE, __ATOMIC_RELAXED))
    continue;
  return true;
}

/* The first one: the drainer looks at few. */
static struct arena_process *free_slot(void) {
  for (uint32_t i = 0; i < ARENA_PROCESSES; i++) {
    struct arena_process *slot = &image_arena->processes[i];
    if (take(&slot->state, &image_arena->head.process_limit, i)) return slot;
  }
  return NULL;
}

static void fill(struct arena_process *slot) {
  bool is_fork = known_serial != 0;
  slot->serial = __atomic_add_fetch(&image_arena->head.next_serial, 1, __ATOMIC_RELAXED);
  slot->pid = own_pid();
  slot->parent_pid = getppid();
  slot->origin = is_fork ? ORIGIN_FORK : ORIGIN_EXEC;
  slot->parent = known_serial;
  slot->fork = is_fork ? caller.fork : 0;
  slot->start = lane_ticks();
  slot->pid_space = pid_space();
  slot->unrecorded = is_fork ? 0 : bootstrap_count() - known_unrecorded;
  slot->threads = 0;
  describe_command(slot);
  if (!is_fork) describe_allocator(slot); /* a child may have been forked within the linker */
}

/* Under the lock. */
static void take_slot(void) {
  struct own *own = image_own;
  if (own->slot != NULL || own->refused) return;
  struct arena_process *slot = free_slot();
  if (slot == NULL) {
    __atomic_fetch_add(&image_arena->head.refused, 1, __ATOMIC_RELAXED);
    own->refused = 1;
    return;
  }
  fill(slot);
  known_serial = own->serial = slot->serial;
  __atomic_store_n(&slot->state, SLOT_LIVE, __ATOMIC_RELEASE);
  __atomic_store_n(&own->slot, slot, __ATOMIC_RELEASE);
}

bool image_begin(void) {
  struct own *own = image_own;
  if (image_arena == NULL || image_is_stopped()) return false;
  if (__atomic_load_n(&own->slot, __ATOMIC_ACQUIRE) != NULL) return true;
  lock_take(&own->lock);
  take_slot();
  lock_drop(&own->lock);
  return own->slot != NULL;
}

/* ---- Rings -------------------------------------------------------------------------------- */

struct ring *image_take_ring(uint32_t thread, bool is_shared, uint64_t birth) {
  uint32_t most = is_shared ? ARENA_RINGS : ARENA_RINGS_OF_THREADS;
  for (uint32_t i = 0; i < most; i++) {
    struct ring *ring = &image_arena->rings[i];
    if (!take(&ring->state, &image_arena->head.ring_limit, i)) continue;
    ring->thread = thread;
    ring->is_shared = is_shared;
    ring->tid = is_shared ? 0 : (int32_t)syscall(SYS_gettid);
    ring->process = image_own->serial;
    ring->birth = birth;
    ring->stalls = ring->stalled_ticks = 0;
    __atomic_store_n(&ring->state, SLOT_LIVE, __ATOMIC_RELEASE);
    return ring;
  }
  return NULL;
}
