#include "preload/bootstrap.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/lock.h"

#define CLASSES 27u /* powers of two, up to the whole arena */
#define LEAST_CLASS 5u

/* Before each block. `before`: how far behind the beginning of its piece it lies, which is
 * more than 0 where an alignment asked for it. */
struct frame {
  uint32_t class;
  uint32_t before;
  struct frame *next_free;
};

_Static_assert(sizeof(struct frame) == 16, "a block is aligned as its frame is");
_Static_assert(BOOTSTRAP_BYTES == (size_t)1 << (CLASSES - 1), "the largest class is the arena");

uintptr_t bootstrap_arena;
static size_t used, handed_out;
static struct frame *free_pieces[CLASSES];
static uint32_t lock;

static struct frame *frame_of(const void *block) { return (struct frame *)(uintptr_t)block - 1; }

static bool arena_map(void) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *start = mmap(NULL, BOOTSTRAP_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (start == MAP_FAILED) return false;
  __atomic_store_n(&bootstrap_arena, (uintptr_t)start, __ATOMIC_RELEASE);
  return true;
}

static unsigned class_of(size_t bytes) {
  unsigned class = LEAST_CLASS;
  while (class < CLASSES && (size_t)1 << class < bytes) class++;
  return class;
}

static struct frame *piece_take(unsigned class) {
  struct frame *piece = free_pieces[class];
  if (piece != NULL) {
    free_pieces[class] = piece->next_free;
    return piece;
  }
  size_t bytes = (size_t)1 << class;
  if ((bootstrap_arena == 0 && !arena_map()) || bytes > BOOTSTRAP_BYTES - used) return NULL;
  piece = (struct frame *)(bootstrap_arena + used);
  used += bytes;
  return piece;
}

void *bootstrap_new(size_t alignment, size_t size) {
  int error = errno;
  size_t slack = alignment > sizeof(struct frame) ? alignment : 0;
  struct frame *piece = NULL;
  if (size < BOOTSTRAP_BYTES && slack < BOOTSTRAP_BYTES) {
    unsigned class = class_of(sizeof *piece + slack + size);
    lock_take(&lock);
    if (class < CLASSES) piece = piece_take(class);
    handed_out++;
    lock_drop(&lock);
    if (piece != NULL) piece->class = class;
  }
  errno = piece != NULL ? error : ENOMEM;
  if (piece == NULL) return NULL;
  uintptr_t first = (uintptr_t)(piece + 1);
  uintptr_t before = slack ? -first & (alignment - 1) : 0;
  struct frame *frame = frame_of((void *)(first + before));
  *frame = (struct frame){.class = piece->class, .before = (uint32_t)before};
  return memset(frame + 1, 0, size);
}

size_t bootstrap_usable_size(const void *block) {
  const struct frame *frame = frame_of(block);
  return ((size_t)1 << frame->class) - sizeof *frame - frame->before;
}

void bootstrap_free(void *block) {
  int error = errno;
  struct frame frame = *frame_of(block);
  struct frame *piece = frame_of((char *)block - frame.before);
  lock_take(&lock);
  piece->next_free = free_pieces[frame.class];
  free_pieces[frame.class] = piece;
  lock_drop(&lock);
  errno = error;
}

size_t bootstrap_count(void) { return __atomic_load_n(&handed_out, __ATOMIC_RELAXED); }

void bootstrap_before_fork(void) { lock_take(&lock); }
void bootstrap_after_fork(void) { lock_drop(&lock); }
