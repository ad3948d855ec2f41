/* null: the floor under every measurement. It is not a correct allocator.
 *
 * The time of a trace is the time of the replay plus the time of the allocator.
 * This one does next to nothing, so its time is that of the replay: the loop, the
 * indirect call, the branch misses and the touching of the objects.
 *
 * All blocks of a thread begin at one address, the start of its *lane*: live blocks
 * overlap, and malloc is one load. Lanes lie in a large reserve, so that a block of
 * any size a trace can ask for may run past the next ones and still be written.
 * free does nothing, calloc does not zero.
 *
 * A floor must lie below every correct allocator, or it is none. Rejected, since
 * each was dearer, and above phase3 on some scenario:
 *
 *   fresh memory for ever         each block misses the caches and takes page faults
 *   a fresh lane for each thread  a replay starts its threads anew: blocks of 25 MiB
 *                                 then cost nine times what reusing the memory does
 *   a stack of freed blocks       two loads and a store an operation: 10 to 25%
 *   cutting through a window      a load and a store an operation: 4 to 11%, and
 *                                 half a first cache lost to the trace and its slots
 *
 * So a thread gives its lane back when it ends, and the lowest free one is taken
 * next: its memory is still in the caches. Lanes share no cache line and no lock.
 */
#include "os.h"

#include <stdatomic.h>

#include "allocphase.h"
#include "settings.h"

#define LANE_BYTES ((size_t)64 << 20)        /* between two lanes; long blocks run over */
#define LANES 64u                            /* a bit of `taken` each */
#define SHARED LANES                         /* with more threads, some have none of their own */
#define LARGEST_ALIGNMENT ((size_t)2 << 20)  /* of a trace: align_log2 is at most 21 */
#define LARGEST_BLOCK ((size_t)4 << 30)      /* of a trace: sizes are 32 bits wide */
#define RESERVE_BYTES (LARGEST_ALIGNMENT + LANES * LANE_BYTES + LARGEST_BLOCK)

_Static_assert(LANE_BYTES % LARGEST_ALIGNMENT == 0, "a lane's start is aligned to everything");

static char *reserve;    /* as mapped */
static char *first_lane; /* aligned to LARGEST_ALIGNMENT */
static _Atomic uint64_t taken;

/* Initial-exec: read as fast as a static variable, not through a call. */
#define THREAD_LOCAL static _Thread_local __attribute__((tls_model("initial-exec")))
THREAD_LOCAL char *every_block;
THREAD_LOCAL unsigned lane;

static int null_init(const struct allocphase_config *config) {
  if (settings_read(config, NULL, 0) != 0) return EINVAL;
  reserve = os_reserve(RESERVE_BYTES);
  if (reserve == NULL) return ENOMEM;
  first_lane = reserve + (-(uintptr_t)reserve & (LARGEST_ALIGNMENT - 1));
  return 0;
}

static void null_fini(void) { os_unmap(reserve, RESERVE_BYTES); }

static unsigned lane_take(void) {
  uint64_t seen = atomic_load(&taken);
  while (seen != UINT64_MAX) {
    unsigned lowest = (unsigned)__builtin_ctzll(~seen);
    if (atomic_compare_exchange_weak(&taken, &seen, seen | 1ull << lowest)) return lowest;
  }
  return SHARED;
}

static void null_thread_start(void) {
  lane = lane_take();
  every_block = first_lane + lane % LANES * LANE_BYTES;
}

static void null_thread_stop(void) {
  if (lane != SHARED) atomic_fetch_and(&taken, ~(1ull << lane));
}

static void *null_malloc(size_t size) { return size <= LARGEST_BLOCK ? every_block : NULL; }

static void null_free(void *block) { (void)block; }

static void *null_calloc(size_t count, size_t size) {
  size_t bytes;
  return __builtin_mul_overflow(count, size, &bytes) ? NULL : null_malloc(bytes);
}

static void *null_realloc(void *block, size_t size) {
  (void)block;
  return null_malloc(size);
}

static void *null_aligned_alloc(size_t alignment, size_t size) {
  return alignment <= LARGEST_ALIGNMENT ? null_malloc(size) : NULL;
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
    .thread_stop = null_thread_stop,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}
