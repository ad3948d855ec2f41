/* ariax: tagged pools. The tag of a request picks the pool that serves it.
 *
 * A *tag* is a class (what kind of object), a hint in Hz, and an isolation domain.
 * Domain 0 is the program itself; 1, 2, ... are what the report calls Mini-VMs.
 * Each domain owns three pools, and the first rule that holds picks one:
 *
 *     block      ("Tesla")          the hint is a harmonic of base_hz
 *     state      ("consciousness")  the class is state_class
 *     standard   ("reality")        everything else, and untagged requests
 *
 * A hint f is a *harmonic* if and only if there is a positive integer n with
 *
 *     |f - n * base_hz| <= tolerance * n * base_hz
 *
 * The block pool has blocks of one size; the others are cut into size classes. A
 * pool hands out freed blocks first, last-in first-out, and else cuts a new one
 * behind the last. Blocks lie back to back, each behind a *header* of 16 bytes, so
 * that a pool can be walked. What a pool cannot serve is a *miss*: it goes to the
 * domain's standard pool, and from there to a mapping of its own.
 *
 * Isolation. All pools lie in one reserve, in order of domain, each of whole units
 * of 64 KiB: no page has blocks of two domains, and an address tells its pool
 * without looking at the block. A free that acts for another domain than the
 * block's own is *refused* and counted, and the block stays as it was. free() acts
 * for domain 0. realloc() acts for the block's own: the block stays in its pool.
 *
 * The reserve is one mapping made at init, hence no system call in operation but
 * for those mappings.
 */
#include "os.h"

#include <stdio.h>

#include "../blocks.h"
#include "../mapped.h"
#include "../misuse.h"
#include "allocphase.h"
#include "settings.h"
#include "tally.h"

static double base_hz = 3.14159;
static double tolerance = 0.0001; /* relative; below half, or all is harmonic */
static size_t state_class = 1;
static size_t state_pool_bytes = 67108864; /* 64 MiB, for domain 0 */
static size_t blocks = 50000;              /* of the block pool of domain 0 */
static size_t block_bytes = 1024;
static size_t standard_pool_bytes = 4294967296; /* addresses for domain 0 */
static size_t domains = 1000;                   /* besides domain 0 */
static size_t domain_pool_bytes = 4194304;      /* addresses for each of their pools */

static const struct setting settings[] = {
    {"base_hz", .real = &base_hz, .least = 1e-6, .most = 1e12},
    {"tolerance", .real = &tolerance, .least = 0, .most = 0.49},
    {"state_class", .whole = &state_class, .least = 1, .most = UINT32_MAX},
    {"state_pool_bytes", .whole = &state_pool_bytes, .least = 1, .most = 1ull << 40},
    {"blocks", .whole = &blocks, .least = 1, .most = 1 << 30},
    {"block_bytes", .whole = &block_bytes, .least = 1, .most = 1 << 20},
    {"standard_pool_bytes", .whole = &standard_pool_bytes, .least = 1, .most = 1ull << 44},
    {"domains", .whole = &domains, .least = 1, .most = 100000},
    {"domain_pool_bytes", .whole = &domain_pool_bytes, .least = 1, .most = 1ull << 40},
};

#define UNIT_BYTES ((size_t)65536) /* a multiple of every page size */
#define CLASSES 108u               /* blocks up to 4 GiB; larger ones are misses */
#define FREE UINT64_MAX            /* requested: the block is on a free list */
#define SHIFTED UINT32_MAX         /* class: a header in the middle of a block */

enum pool_kind { BLOCK, STATE, STANDARD, POOLS_OF_DOMAIN };

struct header {
  uint32_t class; /* of the whole block, header included; 0 in a block pool */
  uint32_t shift; /* SHIFTED: how many 16 bytes before lies the block's own header */
  uint64_t requested;
};

struct free_block {
  struct header header;
  struct free_block *next;
};

_Static_assert(sizeof(struct header) == BLOCK_ALIGNMENT, "a block follows its header");

/* A pool of a domain is zero until its first block, which costs no page before.
 * Invariants:
 *   - blocks fill [start, start + cut) without a gap, each as long as its class says;
 *   - a block's own header says FREE if and only if it is on its class's free list,
 *     and so does the header before the address that was freed;
 *   - live and used_bytes are the number and requested bytes of the others. */
struct pool {
  char *start;
  size_t bytes;
  size_t fixed_bytes; /* of every block, header included; 0: size classes */
  size_t cut;
  size_t live;
  size_t used_bytes;
  struct free_block *free[CLASSES];
};

static const char *const kind_names[2][POOLS_OF_DOMAIN] = {
    {"block", "state", "standard"},
    {"domain_block", "domain_state", "domain_standard"},
};

static char *mapping;
static size_t mapping_bytes;
static struct pool *pools; /* three for each domain, domain 0 first */
static size_t pool_count;
static char *first_domain_pool; /* of domain 1; from here on all are equally long */
static size_t fixed_bytes_of_blocks; /* of the blocks in every block pool */
static struct mapped_list mappings; /* owner: the domain */

/* Of all pools of a kind: of domain 0, and of the other domains together. */
static struct usage {
  size_t used_bytes, peak_used_bytes, misses;
} usages[2][POOLS_OF_DOMAIN];
static size_t allocations, harmonic_hits, refusals;
static struct tally classes_seen, frequencies_seen;

/* ---- Routing ----------------------------------------------------------------------- */

static double distance(double a, double b) { return a < b ? b - a : a - b; }

static bool is_near_multiple(double hz, double n) {
  return n >= 1 && distance(hz, n * base_hz) <= tolerance * n * base_hz;
}

/* The n that hold follow each other, and hz / base_hz lies among them: if any holds,
 * so does one of its two neighbours. The nearer alone would not do, since what the
 * farther one allows is more when it is the larger. */
static bool is_harmonic(double hz) {
  double ratio = hz / base_hz;
  if (!(ratio > 0 && ratio < 9007199254740992.0)) return false; /* 2^53: no fraction */
  double n = (double)(uint64_t)ratio;
  return is_near_multiple(hz, n) || is_near_multiple(hz, n + 1);
}

static enum pool_kind route(const struct allocphase_tag *tag) {
  if (is_harmonic(tag->hint_hz)) return BLOCK;
  return tag->class_id == state_class ? STATE : STANDARD;
}

/* ---- Pools: from addresses to owners ----------------------------------------------- */

static bool is_in_reserve(const void *block) {
  return (uintptr_t)block - (uintptr_t)mapping < mapping_bytes;
}

static size_t pool_index_of(const void *block) {
  const char *address = block;
  if (address >= first_domain_pool)
    return POOLS_OF_DOMAIN + (size_t)(address - first_domain_pool) / domain_pool_bytes;
  if (address >= pools[STANDARD].start) return STANDARD;
  return address >= pools[STATE].start ? STATE : BLOCK;
}

static struct pool *pool_at(size_t index) {
  struct pool *pool = &pools[index];
  if (pool->bytes != 0) return pool;
  pool->start = first_domain_pool + (index - POOLS_OF_DOMAIN) * domain_pool_bytes;
  pool->bytes = domain_pool_bytes;
  pool->fixed_bytes = index % POOLS_OF_DOMAIN == BLOCK ? fixed_bytes_of_blocks : 0;
  return pool;
}

static size_t domain_of(const void *block) {
  return is_in_reserve(block) ? pool_index_of(block) / POOLS_OF_DOMAIN
                              : mapped_header(block)->owner;
}

static struct usage *usage_of(size_t domain, enum pool_kind kind) {
  return &usages[domain != 0][kind];
}

static struct header *header_before(const void *block) {
  return (struct header *)(uintptr_t)block - 1;
}

/* The block's own header; an aligned block may begin behind it. */
static struct header *header_of(const void *block) {
  struct header *header = header_before(block);
  return header->class == SHIFTED ? header - header->shift : header;
}

static size_t whole_bytes(const struct pool *pool, const struct header *header) {
  return pool->fixed_bytes != 0 ? pool->fixed_bytes : class_bytes(header->class);
}

/* ---- Pools: taking and giving blocks ----------------------------------------------- */

static struct header *pool_cut(struct pool *pool, unsigned class, size_t bytes) {
  if (bytes > pool->bytes - pool->cut) return NULL;
  struct header *header = (struct header *)(pool->start + pool->cut);
  pool->cut += bytes;
  header->class = class;
  return header;
}

/* A header with `bytes` behind it, or NULL. No block is too small for a free list. */
static struct header *pool_take(struct pool *pool, size_t bytes) {
  size_t whole = sizeof(struct header) + (bytes < BLOCK_ALIGNMENT ? BLOCK_ALIGNMENT : bytes);
  unsigned class = pool->fixed_bytes != 0 ? 0 : class_of(whole);
  if (class >= CLASSES || (pool->fixed_bytes != 0 && whole > pool->fixed_bytes)) return NULL;
  struct free_block *listed = pool->free[class];
  if (listed != NULL) {
    pool->free[class] = listed->next;
    return &listed->header;
  }
  return pool_cut(pool, class, pool->fixed_bytes != 0 ? pool->fixed_bytes : class_bytes(class));
}

static void *pool_allocate(struct pool *pool, struct usage *usage, size_t alignment, size_t size) {
  struct header *header = pool_take(pool, size + alignment - BLOCK_ALIGNMENT);
  if (header == NULL) return NULL;
  header->requested = size;
  pool->live++;
  pool->used_bytes += size;
  usage->used_bytes += size;
  if (usage->used_bytes > usage->peak_used_bytes) usage->peak_used_bytes = usage->used_bytes;
  char *block = align_pointer((char *)(header + 1), alignment);
  uint32_t shift = (uint32_t)((struct header *)block - (header + 1));
  if (shift > 0) ((struct header *)block)[-1] = (struct header){.class = SHIFTED, .shift = shift};
  return block;
}

/* Of the header before an aligned block the free list leaves `requested` as it is. */
static void pool_free(void *block) {
  if (header_before(block)->requested == FREE) misuse("ariax", DOUBLE_FREE, block);
  size_t index = pool_index_of(block);
  struct pool *pool = &pools[index];
  struct free_block *gone = (struct free_block *)header_of(block);
  pool->live--;
  pool->used_bytes -= gone->header.requested;
  usage_of(index / POOLS_OF_DOMAIN, index % POOLS_OF_DOMAIN)->used_bytes -= gone->header.requested;
  gone->header.requested = header_before(block)->requested = FREE;
  gone->next = pool->free[gone->header.class];
  pool->free[gone->header.class] = gone;
}

/* ---- malloc and free --------------------------------------------------------------- */

static void *map_block(size_t domain, size_t alignment, size_t size) {
  void *block = mapped_new(&mappings, alignment, size);
  if (block != NULL) mapped_header(block)->owner = domain;
  return block;
}

/* A domain whose number is above `domains` has no pools, only mappings. */
static void *allocate_in(size_t domain, enum pool_kind kind, size_t alignment, size_t size) {
  if (domain > domains) return NULL;
  struct pool *pool = pool_at(domain * POOLS_OF_DOMAIN + kind);
  return pool_allocate(pool, usage_of(domain, kind), alignment, size);
}

static void *allocate(size_t domain, enum pool_kind kind, size_t alignment, size_t size) {
  if (!request_is_valid(alignment, size)) return NULL;
  alignment = block_alignment(alignment);
  allocations++;
  void *block = allocate_in(domain, kind, alignment, size);
  if (block != NULL) return block;
  usage_of(domain, kind)->misses++;
  if (kind != STANDARD) block = allocate_in(domain, STANDARD, alignment, size);
  return block != NULL ? block : map_block(domain, alignment, size);
}

static void *ariax_malloc_tagged(size_t size, const struct allocphase_tag *tag) {
  enum pool_kind kind = route(tag);
  tally_add(&classes_seen, tag->class_id);
  if (tag->hint_hz != 0) tally_add(&frequencies_seen, tally_key_of(tag->hint_hz));
  harmonic_hits += kind == BLOCK;
  return allocate(tag->domain, kind, BLOCK_ALIGNMENT, size);
}

static void *ariax_malloc(size_t size) { return allocate(0, STANDARD, BLOCK_ALIGNMENT, size); }

static void release(void *block) {
  if (is_in_reserve(block)) pool_free(block);
  else mapped_free(&mappings, block);
}

static int ariax_free_tagged(void *block, const struct allocphase_tag *tag) {
  if (block == NULL) return 0;
  if (domain_of(block) != tag->domain) {
    refusals++;
    return EPERM;
  }
  release(block);
  return 0;
}

static void ariax_free(void *block) {
  ariax_free_tagged(block, &(struct allocphase_tag){.domain = 0});
}

/* ---- What follows from them -------------------------------------------------------- */

static size_t ariax_usable_size(const void *block) {
  if (!is_in_reserve(block)) return mapped_usable_size(block);
  const struct header *header = header_of(block);
  const char *end = (const char *)header + whole_bytes(&pools[pool_index_of(block)], header);
  return (size_t)(end - (const char *)block);
}

/* A mapping of its own comes zeroed from the system. */
static void *ariax_calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  void *block = ariax_malloc(bytes);
  return block != NULL && is_in_reserve(block) ? memset(block, 0, bytes) : block;
}

static void *ariax_realloc(void *block, size_t size) {
  if (block == NULL) return ariax_malloc(size);
  size_t had = ariax_usable_size(block);
  if (size <= had && size >= had / 2) return block;
  enum pool_kind kind = is_in_reserve(block) ? pool_index_of(block) % POOLS_OF_DOMAIN : STANDARD;
  void *moved = allocate(domain_of(block), kind, BLOCK_ALIGNMENT, size);
  if (moved == NULL) return NULL;
  memcpy(moved, block, had < size ? had : size);
  release(block);
  return moved;
}

static void *ariax_aligned_alloc(size_t alignment, size_t size) {
  return allocate(0, STANDARD, alignment, size);
}

/* ---- init and fini ----------------------------------------------------------------- */

/* The pools of domain 0, one behind the other; returns the end of the last. */
static char *place_pools_of_program(char *start) {
  const size_t bytes[POOLS_OF_DOMAIN] = {
      [BLOCK] = round_up(blocks * fixed_bytes_of_blocks, UNIT_BYTES),
      [STATE] = state_pool_bytes,
      [STANDARD] = standard_pool_bytes,
  };
  for (enum pool_kind kind = BLOCK; kind < POOLS_OF_DOMAIN; start += bytes[kind++])
    pools[kind] = (struct pool){.start = start, .bytes = bytes[kind]};
  pools[BLOCK].fixed_bytes = fixed_bytes_of_blocks;
  return start;
}

static int ariax_init(const struct allocphase_config *config) {
  int error = settings_read(config, settings, sizeof settings / sizeof *settings);
  if (error != 0) return error;
  state_pool_bytes = round_up(state_pool_bytes, UNIT_BYTES);
  standard_pool_bytes = round_up(standard_pool_bytes, UNIT_BYTES);
  domain_pool_bytes = round_up(domain_pool_bytes, UNIT_BYTES);
  fixed_bytes_of_blocks = round_up(block_bytes, BLOCK_ALIGNMENT) + sizeof(struct header);
  pool_count = (1 + domains) * POOLS_OF_DOMAIN;
  size_t table_bytes = pool_count * sizeof(struct pool) + UNIT_BYTES;
  mapping_bytes = table_bytes + blocks * fixed_bytes_of_blocks + UNIT_BYTES + state_pool_bytes +
                  standard_pool_bytes + domains * POOLS_OF_DOMAIN * domain_pool_bytes;
  mapping = os_reserve(mapping_bytes);
  if (mapping == NULL) return ENOMEM;
  pools = (struct pool *)mapping;
  char *first_pool = align_pointer((char *)(pools + pool_count), UNIT_BYTES);
  first_domain_pool = place_pools_of_program(first_pool);
  return 0;
}

static void ariax_fini(void) {
  mapped_free_all(&mappings);
  os_unmap(mapping, mapping_bytes);
}

#include "check.h" /* ariax_check and ariax_stats */

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = ariax_init,
    .fini = ariax_fini,
    .malloc = ariax_malloc,
    .free = ariax_free,
    .calloc = ariax_calloc,
    .realloc = ariax_realloc,
    .aligned_alloc = ariax_aligned_alloc,
    .malloc_tagged = ariax_malloc_tagged,
    .free_tagged = ariax_free_tagged,
    .usable_size = ariax_usable_size,
    .stats = ariax_stats,
    .check = ariax_check,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}
