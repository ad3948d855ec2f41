/* subtle: breaks the contract where most traces do not look, and each fault shows the
 * first time that somebody looks there.
 *
 *   previous-object  each malloc writes over the object before, if that is small
 *   foreign-destroys a refused free_tagged has cleared the block
 *   second-replay    once everything was free, there is one address for all
 *   short-tail       a shrunken block's tail is given away 16 bytes too early
 *   grow-back        a shrunken block grows into what it has given away
 *   dirty-large      calloc does not clear a used block above 64 KiB
 *   aligned-large    aligned_alloc is 16 bytes off above 64 KiB
 *   aligned-page     aligned_alloc is 16 bytes off at alignments from 4,096
 *   short-copy       realloc copies 4 KiB at most
 *   usable-double    usable_size is twice what there is
 *   one-empty        every malloc(0) has the same address
 *   thread-exit      what ends is the thread, and the content of its last block
 *   third-thread     the same, but the first two threads end well
 *   bounded-dirty    nothing above 1 MiB, and calloc does not clear above 64 KiB
 *   dirty-huge       calloc does not clear a used block above 8 MiB
 *   dirty-aligned    calloc does not clear what was an aligned block
 *   dirty-by-one     calloc of one thing does not clear it
 *   second-shrink    what was shrunken twice grows into what it has given away
 *   aligned-again    aligned_alloc is 16 bytes off at 4,096 and above, from the 20th call on
 *   usable-huge      usable_size is twice what there is above 1 MiB
 *   usable-grown     the same, of blocks that realloc has moved
 *   size-max         the sum of size and prefix wraps around
 *   calloc-overflow  so does count times size
 *
 * And these are no faults, though most allocators do otherwise:
 *
 *   null-empty       malloc(0) is NULL
 *   never-reuses     free does nothing
 *   bounded          nothing above 1 MiB
 *
 * Behind the size in a block's prefix stand its owner and where its memory begins: so
 * many bytes before, or SHARED with another block and never handed out again. */
#include "correct.h"

#include <pthread.h>

#define MIB ((size_t)1 << 20)
#define SHARED 1u
#define GROWN 1u /* in the place of the owner */
#define SHRUNK 2u

struct rest {
  uint32_t owner;
  uint32_t before;
};

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char *last, *spare, *spare_end;
static long live;
static bool emptied, freed_aligned;
static uint32_t threads_ended, aligned_calls;
static _Thread_local char *mine;
static _Alignas(16) char no_bytes[16];

static void unlock(int *unused) {
  (void)unused;
  pthread_mutex_unlock(&mutex);
}
#define LOCKED __attribute__((cleanup(unlock), unused)) int held = pthread_mutex_lock(&mutex)

static struct rest rest_of(const char *block) {
  struct rest rest;
  memcpy(&rest, block - sizeof rest, sizeof rest);
  return rest;
}

static void mark(char *block, size_t size, uint32_t owner, uint32_t before) {
  struct rest rest = {owner, before};
  memcpy(block - PREFIX_BYTES, &size, sizeof size);
  memcpy(block - sizeof rest, &rest, sizeof rest);
}

static size_t usable_size_of(const char *block) {
  struct rest rest = rest_of(block);
  if (rest.before == SHARED) return size_of(block);
  return ((size_t)1 << class_of(size_of(block - rest.before))) - PREFIX_BYTES - rest.before;
}

/* From what a shrunken block has given away, if there is as much. */
static char *from_spare(size_t size) {
  size_t bytes = PREFIX_BYTES + ((size + 15) & ~(size_t)15);
  if (!spare || bytes > (size_t)(spare_end - spare)) return NULL;
  char *block = spare + PREFIX_BYTES;
  spare += bytes;
  mark(block, size, 0, SHARED);
  return block;
}

static char *take(size_t size) {
  char *block = size <= REGION_BYTES / 2 ? correct_malloc(size) : NULL;
  if (block) mark(block, size, 0, 0);
  return block;
}

static bool is_bounded(void) { return is("bounded") || is("bounded-dirty"); }

static void *faulty_malloc(size_t size) {
  LOCKED;
  if (size == 0 && is("null-empty")) return NULL;
  if (size == 0 && is("one-empty")) return no_bytes;
  if (size > SIZE_MAX - PREFIX_BYTES && is("size-max")) size += PREFIX_BYTES;
  if (size > MIB && is_bounded()) return NULL;
  if (emptied && is("second-replay")) {
    mark(last, size, 0, SHARED);
    return last;
  }
  char *block = size <= MIB ? from_spare(size) : NULL;
  if (!block) block = take(size);
  if (!block) return NULL;
  if (last && size_of(last) < 1024 && is("previous-object")) memset(last, 0xee, size_of(last));
  live++;
  return last = mine = block;
}

static void faulty_free(void *block) {
  LOCKED;
  if (!block || block == no_bytes || (emptied && is("second-replay"))) return;
  if (block == last && !is("second-replay")) last = NULL;
  emptied = --live == 0;
  struct rest rest = rest_of(block);
  freed_aligned = rest.before > SHARED;
  if (rest.before != SHARED && !is("never-reuses")) correct_free((char *)block - rest.before);
}

static bool is_left_dirty(size_t count, size_t bytes) {
  return (bytes > 65536 && (is("dirty-large") || is("bounded-dirty"))) ||
         (bytes > 8 * MIB && is("dirty-huge")) || (freed_aligned && is("dirty-aligned")) ||
         (count == 1 && bytes > 65536 && is("dirty-by-one"));
}

static void *faulty_calloc(size_t count, size_t size) {
  LOCKED;
  size_t bytes, used_before = region_used;
  if (__builtin_mul_overflow(count, size, &bytes) && !is("calloc-overflow")) return NULL;
  void *block = faulty_malloc(bytes);
  bool fresh = region_used != used_before;
  if (!block || fresh || is_left_dirty(count, bytes)) return block;
  return memset(block, 0, bytes);
}

/* Not that of a large block, nor of one that has given its tail already. */
static void give_tail(char *block, size_t old_size, size_t size) {
  struct rest rest = rest_of(block);
  if (is("second-shrink") && rest.before == SHARED) { /* the tail stays where it is */
    mark(block, size, SHRUNK, SHARED);
    return;
  }
  if (size + 32 > old_size || old_size > MIB || rest.before != 0) return;
  spare = block + ((size + 15) & ~(size_t)15) - (is("short-tail") ? 16 : 0);
  spare_end = block + (old_size & ~(size_t)15);
  mark(block, size, rest.owner, SHARED);
  if (is("second-shrink")) mark(block, size, rest.owner == SHRUNK ? SHRUNK : 0, SHARED);
}

static void *faulty_realloc(void *old, size_t size) {
  LOCKED;
  if (!old || old == no_bytes) return faulty_malloc(size);
  if (size > REGION_BYTES / 2) return NULL;
  size_t old_size = size_of(old), kept = old_size < size ? old_size : size;
  if (size <= old_size) {
    give_tail(old, old_size, size);
    return old;
  }
  if (rest_of(old).before == SHARED && is("grow-back")) return old;
  if (rest_of(old).owner == SHRUNK && is("second-shrink")) return old;
  void *block = faulty_malloc(size);
  if (!block) return NULL;
  memcpy(block, old, kept > 4096 && is("short-copy") ? 4096 : kept);
  faulty_free(old);
  if (is("usable-grown")) mark(block, size, GROWN, rest_of(block).before);
  return block;
}

static void *faulty_aligned_alloc(size_t alignment, size_t size) {
  LOCKED;
  if (size > REGION_BYTES / 4 || (size > MIB && is_bounded())) return NULL;
  char *block = take(size + alignment + 16);
  if (!block) return NULL;
  live++;
  bool again = alignment >= 4096 && ++aligned_calls >= 20 && is("aligned-again");
  bool off = (size > 65536 && is("aligned-large")) || (alignment >= 4096 && is("aligned-page"));
  off |= again;
  size_t before = (-(uintptr_t)block & (alignment - 1)) + (off ? 16 : 0);
  mark(block + before, size, 0, (uint32_t)before);
  return block + before;
}

static void *faulty_malloc_tagged(size_t size, const struct allocphase_tag *tag) {
  LOCKED;
  char *block = faulty_malloc(size);
  if (block) mark(block, size, tag->domain, rest_of(block).before);
  return block;
}

static int faulty_free_tagged(void *block, const struct allocphase_tag *tag) {
  LOCKED;
  bool own = rest_of(block).owner == tag->domain || is("second-replay");
  if (!own && is("foreign-destroys")) memset(block, 0, size_of(block));
  if (own) faulty_free(block);
  return own ? 0 : EPERM;
}

static size_t faulty_usable_size(const void *block) {
  if (block == no_bytes) return 0;
  bool twice = is("usable-double") || (size_of(block) > MIB && is("usable-huge")) ||
               (rest_of(block).owner == GROWN && is("usable-grown"));
  return usable_size_of(block) * (twice ? 2 : 1);
}

static void faulty_thread_stop(void) {
  LOCKED;
  if (!mine || gettid() == getpid()) return;
  threads_ended++;
  if (is("thread-exit") || (is("third-thread") && threads_ended == 3))
    memset(mine, 0xee, size_of(mine));
}

PLUGIN(.flags = ALLOCPHASE_THREAD_SAFE, .init = correct_init, .fini = correct_fini,
       .malloc = faulty_malloc, .free = faulty_free, .calloc = faulty_calloc,
       .realloc = faulty_realloc, .aligned_alloc = faulty_aligned_alloc,
       .malloc_tagged = faulty_malloc_tagged, .free_tagged = faulty_free_tagged,
       .usable_size = faulty_usable_size, .thread_stop = faulty_thread_stop)
