/* racer.c: a thread-safe allocator that synchronises nothing by itself.
 *
 * Each thread bumps through a region of its own and frees by writing into the
 * block. So whatever order there is between an allocation on one thread and a
 * use or free on another is the driver's hand-over alone, and a thread sanitizer
 * that sees none reports a race. SHARED: all threads bump through one region, and
 * the table does not say that it is thread-safe, so that the order is the driver's
 * lock alone.
 */
#include <stdint.h>
#include <sys/mman.h>

#include "allocphase.h"

#define REGION ((size_t)64 << 20)

#ifdef SHARED
#define OWNER static
#define FLAGS 0
#else
#define OWNER static _Thread_local
#define FLAGS ALLOCPHASE_THREAD_SAFE
#endif

OWNER char *next;
OWNER size_t left;

static int init(const struct allocphase_config *config) {
  (void)config;
  return 0;
}

static void fini(void) {}

static void *take(size_t size) {
  if (size > REGION / 2) return NULL;
  size_t bytes = (size + 31) & ~(size_t)15;
  if (bytes > left) {
    next = mmap(NULL, REGION, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (next == MAP_FAILED) return NULL;
    left = REGION;
  }
  char *block = next;
  next += bytes;
  left -= bytes;
  *(uint64_t *)block = size;
  return block;
}

static void give(void *block) {
  if (block) *(uint64_t *)block = UINT64_MAX;
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .flags = FLAGS,
    .init = init,
    .fini = fini,
    .malloc = take,
    .free = give,
};

const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
