/* null: the floor under every measurement. It is not a correct allocator.
 *
 * The time of a trace is the time of the replay plus the time of the allocator.
 * This one does next to nothing, so its time is that of the replay: the loop, the
 * indirect call, the branch misses and the touching of the objects.
 *
 * Blocks are cut one behind the other from a *window* that fits in the first
 * cache, and the cutting starts anew at its end: live blocks overlap. A window
 * lies at the beginning of a large reserved *lane*, so that a block of any size a
 * trace can ask for may run past the window's end and still be written. Rejected:
 * bumping through fresh memory for ever, since the cache misses and page faults
 * would make the floor dearer than an allocator that uses its memory again.
 *
 * free does nothing, calloc does not zero, realloc returns the block it was
 * given. Every thread has a lane of its own: no shared cache line, no lock.
 */
#include "os.h"

#include <stdatomic.h>

#include "allocphase.h"
#include "settings.h"

#define BLOCK_ALIGNMENT 16u
#define WINDOW_BYTES ((size_t)16 << 10)      /* a third of a 48 KiB first cache */
#define LANE_BYTES ((size_t)64 << 20)        /* between two windows; long blocks run over */
#define LANES 64u                            /* more threads than this share windows */
#define LARGEST_ALIGNMENT ((size_t)2 << 20)  /* of a trace: align_log2 is at most 21 */
#define LARGEST_BLOCK ((size_t)4 << 30)      /* of a trace: sizes are 32 bits wide */
#define RESERVE_BYTES (LARGEST_ALIGNMENT + LANES * LANE_BYTES + LARGEST_BLOCK)

_Static_assert((WINDOW_BYTES & (WINDOW_BYTES - 1)) == 0, "offsets wrap by a mask");
_Static_assert(LANE_BYTES % LARGEST_ALIGNMENT == 0, "a lane's start is aligned to everything");

static char *reserve;      /* as mapped */
static char *first_window; /* aligned to LARGEST_ALIGNMENT */
static atomic_uint threads;

/* Initial-exec: read as fast as a static variable, not through a call. */
#define THREAD_LOCAL static _Thread_local __attribute__((tls_model("initial-exec")))
THREAD_LOCAL size_t lane_offset;
THREAD_LOCAL size_t next_offset;

static int null_init(const struct allocphase_config *config) {
  if (settings_read(config, NULL, 0) != 0) return EINVAL;
  reserve = os_reserve(RESERVE_BYTES);
  if (reserve == NULL) return ENOMEM;
  first_window = reserve + (-(uintptr_t)reserve & (LARGEST_ALIGNMENT - 1));
  return 0;
}

static void null_fini(void) { os_unmap(reserve, RESERVE_BYTES); }

static void null_thread_start(void) {
  unsigned lane = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % LANES;
  lane_offset = lane * LANE_BYTES;
}

static void *null_malloc(size_t size) {
  size_t offset = next_offset;
  next_offset = (offset + size + BLOCK_ALIGNMENT - 1) & (WINDOW_BYTES - BLOCK_ALIGNMENT);
  return size <= LARGEST_BLOCK ? first_window + lane_offset + offset : NULL;
}

static void null_free(void *block) { (void)block; }

static void *null_calloc(size_t count, size_t size) {
  size_t bytes;
  return __builtin_mul_overflow(count, size, &bytes) ? NULL : null_malloc(bytes);
}

static void *null_realloc(void *block, size_t size) {
  return block != NULL && size <= LARGEST_BLOCK ? block : null_malloc(size);
}

static void *null_aligned_alloc(size_t alignment, size_t size) {
  if (alignment > LARGEST_ALIGNMENT || size > LARGEST_BLOCK) return NULL;
  return first_window + lane_offset;
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .flags = ALLOCPHASE_THREAD_SAFE,
    .init = null_init,
    .fini = null_fini,
    .malloc = null_malloc,
    .free = null_free,
    .calloc = null_calloc,
    .realloc = null_realloc,
    .aligned_alloc = null_aligned_alloc,
    .thread_start = null_thread_start,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}
