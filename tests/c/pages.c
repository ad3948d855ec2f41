/* pages: each malloc maps `pages` pages, and touches them when `touch` is 1; free
 * gives them back when `release` is 1. Huge pages would make one fault of many.
 *
 * init maps `pool_pages` pages and touches them, fini gives them back.
 *
 * What is no allocator's memory can be had at init: `reserve_bytes` that nobody may
 * touch, and the pages of the file `file`, read. */
#include "arena.h"

#include <fcntl.h>
#include <sys/stat.h>

static long pages, touch, release, pool_pages;
static char *pool, *last;

/* Touches nothing of it. */
static char *map_pages(long count) {
  size_t bytes = (size_t)count * os_page_bytes();
  char *start = os_map(bytes);
  if (start) madvise(start, bytes, MADV_NOHUGEPAGE);
  return start;
}

static void touch_pages(char *start, long count) {
  for (long i = 0; i < count; i++) start[(size_t)i * os_page_bytes()] = 1;
}

static int map_pool(void) {
  if (pool_pages == 0) return 0;
  pool = map_pages(pool_pages);
  if (!pool) return ENOMEM;
  touch_pages(pool, pool_pages);
  return 0;
}

static int read_pages(const char *path) {
  struct stat status;
  int fd = open(path, O_RDONLY);
  if (fd < 0 || fstat(fd, &status) != 0) return errno;
  size_t bytes = (size_t)status.st_size;
  const volatile char *file = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (file == MAP_FAILED) return errno;
  for (size_t at = 0; at < bytes; at += os_page_bytes()) (void)file[at];
  close(fd);
  return 0;
}

static int pages_init(const struct allocphase_config *config) {
  pages = number_of(config, "pages");
  touch = number_of(config, "touch");
  release = number_of(config, "release");
  pool_pages = number_of(config, "pool_pages");
  size_t reserved = (size_t)number_of(config, "reserve_bytes");
  if (reserved && mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
    return ENOMEM;
  int error = map_pool();
  if (error) return error;
  return *text_of(config, "file") ? read_pages(text_of(config, "file")) : 0;
}

static void pages_fini(void) {
  if (pool) os_unmap(pool, (size_t)pool_pages * os_page_bytes());
}

/* Some probes make more than one replay. */
#define FIRST_REPLAY 1000
static unsigned long made;

static void *pages_malloc(size_t size) {
  char *block = size <= (size_t)pages * os_page_bytes() ? map_pages(pages) : NULL;
  if (block && touch) touch_pages(block, pages);
  if (made++ < FIRST_REPLAY) last = block;
  return block;
}

static void pages_free(void *block) {
  if (release) os_unmap(block, (size_t)pages * os_page_bytes());
}

static void pages_stats(allocphase_stat_sink *sink, void *context) {
  sink(context, "last_address", (double)(uintptr_t)last);
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = pages_init,
    .fini = pages_fini,
    .malloc = pages_malloc,
    .free = pages_free,
    .stats = pages_stats,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
