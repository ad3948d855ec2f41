/* sweeper: each malloc reads `lines` cache lines of 64 bytes, one after the other, of a buffer of
 * `bytes` bytes, from its beginning again where that ends; and decides `coins` times by a bit of a
 * generator (xorshift64), which no predictor knows. What that misses is arithmetic. */
#include "arena.h"

#define LINE_BYTES 64
#define MOST_BYTES (1 << 20)

static long lines, bytes, coins;
static _Alignas(4096) char buffer[MOST_BYTES];
static volatile char seen;
static volatile long heads;
static unsigned long state = 88172645463325252ul;

static int sweeper_init(const struct allocphase_config *config) {
  lines = number_of(config, "lines");
  bytes = number_of(config, "bytes");
  coins = number_of(config, "coins");
  for (long i = 0; i < bytes; i++) buffer[i] = 1;
  return arena_init(config);
}

static void sweep(void) {
  long at = 0;
  for (long i = 0; i < lines; i++) {
    seen = buffer[at];
    at = (at + LINE_BYTES) & (bytes - 1);
  }
}

static void toss(void) {
  for (long i = 0; i < coins; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if (state & 1024) heads++; /* volatile: no conditional move */
  }
}

static void *sweeper_malloc(size_t size) {
  sweep();
  toss();
  return arena_malloc(size);
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = sweeper_init,
    .fini = arena_fini,
    .malloc = sweeper_malloc,
    .free = arena_free,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
