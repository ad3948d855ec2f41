/* phase21: one pool mapped up front, and a table of slots that is searched linearly.
 *
 * The pool is cut into *slots*, in address order. The *slot table* says of each
 * where it begins, how long it is, and how much of it is used; 0 is a free slot.
 *
 *     pool   | slot 0 | slot 1 |  slot 2  | slot 3 |     not cut yet     |
 *     table  | offset, bytes, used | offset, bytes, used | ...
 *
 * malloc walks the table from its start and takes the first free slot that is
 * long enough and suitably aligned; there being none, it cuts a new slot behind
 * the last. A slot keeps its length: no splitting, no merging. Free slots at the
 * end of the table are dissolved, so that an emptied pool is as good as new.
 *
 * free walks the table as well, until it meets the block's offset. The slots are
 * in address order, so a binary search would find it too, and a header before
 * each block would make any search needless. Both are rejected: the report calls
 * this design a linear search through allocation slots, and the cost of that
 * search is what it is here to show. Each call takes time in proportion to the
 * number of live blocks; after init there is no system call.
 *
 * What the pool cannot serve is a *miss*: that block gets a mapping of its own.
 * Pool and table are one mapping. The table has room for the smallest possible
 * slots, since what is never touched costs nothing.
 */
#include "os.h"

#include "../blocks.h"
#include "../mapped.h"
#include "../misuse.h"
#include "allocphase.h"
#include "settings.h"

static size_t pool_bytes = 16777216; /* 16 MiB, as in the report */

static const struct setting settings[] = {
    {"pool_bytes", .whole = &pool_bytes, .least = 4096, .most = 2147483648},
};

struct slot {
  uint32_t offset; /* in the pool */
  uint32_t bytes;
  uint32_t used; /* by the request that took it, rounded up to 16; 0 = free */
};

static char *pool;
static struct slot *slots; /* directly behind the pool, and room for a sentinel */
static size_t slot_count;
static size_t mapping_bytes;
static struct mapped_list misses;

static size_t live_blocks, used_bytes, peak_used_bytes; /* in the pool */
static size_t allocations, pool_hits;

static size_t slot_end(size_t index) { return (size_t)slots[index].offset + slots[index].bytes; }

static size_t cut_bytes(void) { return slot_count == 0 ? 0 : slot_end(slot_count - 1); }

/* ---- init and fini ----------------------------------------------------------------- */

static int phase21_init(const struct allocphase_config *config) {
  int error = settings_read(config, settings, sizeof settings / sizeof *settings);
  if (error != 0) return error;
  pool_bytes = round_up(pool_bytes, BLOCK_ALIGNMENT);
  mapping_bytes = pool_bytes + (pool_bytes / BLOCK_ALIGNMENT + 1) * sizeof(struct slot);
  pool = os_reserve(mapping_bytes);
  if (pool == NULL) return ENOMEM;
  slots = (struct slot *)(pool + pool_bytes);
  return 0;
}

static void phase21_fini(void) {
  mapped_free_all(&misses);
  os_unmap(pool, mapping_bytes);
}

/* ---- The two searches -------------------------------------------------------------- */

static struct slot *first_fit(size_t alignment, size_t bytes) {
  for (struct slot *slot = slots; slot != slots + slot_count; slot++)
    if (slot->used == 0 && slot->bytes >= bytes &&
        ((uintptr_t)(pool + slot->offset) & (alignment - 1)) == 0)
      return slot;
  return NULL;
}

/* Of a live block in the pool. The sentinel behind the last slot ends the search for
 * what has no slot, and the search for what has one is no longer for it. */
static struct slot *slot_of(const void *block, const char *when_freed) {
  uint32_t offset = (uint32_t)((const char *)block - pool);
  slots[slot_count].offset = offset;
  struct slot *slot = slots;
  while (slot->offset != offset) slot++;
  if (slot == slots + slot_count) misuse("phase21", FOREIGN_POINTER, block);
  if (slot->used == 0) misuse("phase21", when_freed, block);
  return slot;
}

/* ---- malloc and free --------------------------------------------------------------- */

/* Behind the last slot; the gap that an alignment leaves belongs to no slot. */
static struct slot *cut_slot(size_t alignment, size_t bytes) {
  size_t offset = (size_t)(align_pointer(pool + cut_bytes(), alignment) - pool);
  if (offset > pool_bytes || bytes > pool_bytes - offset) return NULL;
  slots[slot_count] = (struct slot){.offset = (uint32_t)offset, .bytes = (uint32_t)bytes};
  return &slots[slot_count++];
}

static void *allocate(size_t alignment, size_t size) {
  if (!request_is_valid(alignment, size)) return NULL;
  alignment = block_alignment(alignment);
  allocations++;
  size_t bytes = round_up(size == 0 ? 1 : size, BLOCK_ALIGNMENT);
  struct slot *slot = first_fit(alignment, bytes);
  if (slot == NULL) slot = cut_slot(alignment, bytes);
  if (slot == NULL) return mapped_new(&misses, alignment, size);
  slot->used = (uint32_t)bytes;
  pool_hits++;
  live_blocks++;
  used_bytes += bytes;
  if (used_bytes > peak_used_bytes) peak_used_bytes = used_bytes;
  return pool + slot->offset;
}

static bool is_in_pool(const void *block) {
  return (uintptr_t)block - (uintptr_t)pool < pool_bytes;
}

static void *phase21_malloc(size_t size) { return allocate(BLOCK_ALIGNMENT, size); }

static void phase21_free(void *block) {
  if (block == NULL) return;
  if (!is_in_pool(block)) {
    mapped_free(&misses, block);
    return;
  }
  struct slot *slot = slot_of(block, DOUBLE_FREE);
  live_blocks--;
  used_bytes -= slot->used;
  slot->used = 0;
  while (slot_count > 0 && slots[slot_count - 1].used == 0) slot_count--;
}

/* ---- What follows from them -------------------------------------------------------- */

static size_t phase21_usable_size(const void *block) {
  if (!is_in_pool(block)) return mapped_usable_size(block);
  return slot_of(block, USE_AFTER_FREE)->bytes;
}

/* A miss comes zeroed from the system. */
static void *phase21_calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  void *block = phase21_malloc(bytes);
  return block != NULL && is_in_pool(block) ? memset(block, 0, bytes) : block;
}

static void *phase21_realloc(void *block, size_t size) {
  return realloc_by_copying(block, size, phase21_malloc, phase21_free, phase21_usable_size);
}

static void *phase21_aligned_alloc(size_t alignment, size_t size) {
  return allocate(alignment, size);
}

/* ---- Introspection ----------------------------------------------------------------- */

static void phase21_stats(allocphase_stat_sink *sink, void *context) {
  sink(context, "pool_bytes", (double)pool_bytes);
  sink(context, "pool_used_bytes", (double)used_bytes);
  sink(context, "pool_peak_used_bytes", (double)peak_used_bytes);
  sink(context, "pool_peak_used_share", (double)peak_used_bytes / (double)pool_bytes);
  sink(context, "pool_cut_bytes", (double)cut_bytes());
  if (allocations > 0)
    sink(context, "pool_hit_rate", (double)pool_hits / (double)allocations);
  sink(context, "pool_misses", (double)(allocations - pool_hits));
  sink(context, "slots", (double)slot_count);
  sink(context, "live_slots", (double)live_blocks);
}

static const char *phase21_check(void) {
  size_t end = 0, used = 0, live = 0;
  for (size_t i = 0; i < slot_count; i++) {
    if (slots[i].offset < end) return "slots overlap or are out of order";
    if (slots[i].used > slots[i].bytes) return "a slot holds more than its length";
    end = slot_end(i);
    used += slots[i].used;
    live += slots[i].used != 0;
  }
  if (end > pool_bytes) return "a slot ends outside the pool";
  if (slot_count > 0 && slots[slot_count - 1].used == 0) return "the last slot is free";
  if (used != used_bytes || live != live_blocks) return "the slots do not add up to the counts";
  return mapped_check(&misses);
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = phase21_init,
    .fini = phase21_fini,
    .malloc = phase21_malloc,
    .free = phase21_free,
    .calloc = phase21_calloc,
    .realloc = phase21_realloc,
    .aligned_alloc = phase21_aligned_alloc,
    .usable_size = phase21_usable_size,
    .stats = phase21_stats,
    .check = phase21_check,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}
