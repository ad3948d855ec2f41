/* malloc.c: liballocphase-malloc.so, a preload that makes any plug-in a program's malloc.
 *
 *     LD_PRELOAD=/path/liballocphase-malloc.so
 *     ALLOCPHASE_PLUGIN=/path/plugin.so                      absolute
 *     ALLOCPHASE_PLUGIN_SETTINGS="key=value&key=value"       optional: as `NAME?key=value&...`
 *
 * Programs that it starts inherit the three and are served alike. Where the plug-in cannot be
 * loaded, or its init refuses, the process ends before main with one line on stderr and exit
 * code 127; it never runs on another malloc instead.
 *
 *     liballocphase-malloc: /path/plugin.so: init refuses the setting pool_bytes=1
 *
 * Read on in this order:
 *
 *     malloc.c       what C programs call
 *     operators.c    what C++ programs call: new and delete
 *     served.h       the way into the plug-in: threads, fork, its lock, its start
 *     blocks.h       what a plug-in lacks
 *     bootstrap.h    memory for what is asked before and within the plug-in
 *
 * What a program may rely on with glibc it may here: errno stays as it was but where there is
 * no memory, a block of no bytes is a block, realloc to no bytes frees, and every block is
 * aligned to 16 bytes unless it is smaller. fini is never called: until the process is gone
 * somebody may still free. mallopt, mallinfo and malloc_trim are glibc's, and tell of a heap
 * that nobody uses.
 */
#include "preload/malloc.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "preload/blocks.h"
#include "preload/bootstrap.h"
#include "preload/served.h"

static void *no_memory(void) {
  errno = ENOMEM;
  return NULL;
}

/* ---- The steps that all share ------------------------------------------------------------ */

/* Alignment 0: that of malloc. */
static inline void *allocate(size_t alignment, size_t size) {
  if (!served_enter()) return bootstrap_new(alignment, size);
  int error = *caller.error;
  void *block = blocks_new(alignment, size);
  *caller.error = block == NULL ? ENOMEM : error;
  served_leave();
  return block;
}

/* A block of the plug-in's that is freed from within the plug-in, by a signal handler for
 * example, stays: the plug-in is in the middle of a call. */
static inline void release(void *block) {
  if (block == NULL) return;
  if (bootstrap_contains(block)) {
    bootstrap_free(block);
  } else if (served_enter()) {
    int error = *caller.error;
    blocks_free(block);
    *caller.error = error;
    served_leave();
  }
}

static void *allocate_zeroed(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  if (!served_enter()) return bootstrap_new(0, bytes); /* zeroed */
  int error = *caller.error;
  void *block = blocks_new_zeroed(count, size);
  *caller.error = block == NULL ? ENOMEM : error;
  served_leave();
  return block;
}

static size_t usable_size(const void *block) {
  if (block == NULL) return 0;
  if (bootstrap_contains(block)) return bootstrap_usable_size(block);
  if (!served_enter()) return 0; /* within the plug-in: nobody can ask it */
  int error = *caller.error;
  size_t bytes = blocks_usable_size(block);
  *caller.error = error;
  served_leave();
  return bytes;
}

static void *move_from_bootstrap(void *block, size_t size) {
  size_t had = bootstrap_usable_size(block);
  void *moved = allocate(0, size);
  if (moved == NULL) return NULL;
  memcpy(moved, block, had < size ? had : size);
  bootstrap_free(block);
  return moved;
}

static void *resize(void *block, size_t size) {
  if (block == NULL) return allocate(0, size);
  if (bootstrap_contains(block)) return move_from_bootstrap(block, size);
  if (!served_enter()) return no_memory(); /* within the plug-in, as above */
  int error = *caller.error;
  void *moved = blocks_resize(block, size);
  *caller.error = moved == NULL ? ENOMEM : error;
  served_leave();
  return moved;
}

static bool is_power_of_two(size_t n) { return n != 0 && (n & (n - 1)) == 0; }

static size_t page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static void *allocate_aligned(size_t alignment, size_t size) {
  if (is_power_of_two(alignment)) return allocate(alignment, size);
  errno = EINVAL;
  return NULL;
}

static void *resize_or_free(void *block, size_t size) {
  if (block == NULL || size > 0) return resize(block, size);
  release(block);
  return NULL;
}

void *preload_allocate(size_t alignment, size_t size) { return allocate(alignment, size); }
void preload_release(void *block) { release(block); }

/* ---- ISO C ------------------------------------------------------------------------------------ */

EXPORTED void *malloc(size_t size) { return allocate(0, size); }

EXPORTED void free(void *block) { release(block); }

EXPORTED void *calloc(size_t count, size_t size) { return allocate_zeroed(count, size); }

EXPORTED void *realloc(void *block, size_t size) { return resize_or_free(block, size); }

/* Any power of two, whatever the size, as glibc takes it. */
EXPORTED void *aligned_alloc(size_t alignment, size_t size) {
  return allocate_aligned(alignment, size);
}

EXPORTED void free_sized(void *block, size_t size) {
  (void)size;
  release(block);
}

EXPORTED void free_aligned_sized(void *block, size_t alignment, size_t size) {
  (void)alignment;
  (void)size;
  release(block);
}

/* ---- POSIX, BSD and glibc ---------------------------------------------------------------------- */

EXPORTED void *reallocarray(void *block, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  return resize_or_free(block, bytes);
}

/* Says what is wrong by its result alone. */
EXPORTED int posix_memalign(void **result, size_t alignment, size_t size) {
  if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0) return EINVAL;
  int error = errno;
  void *block = allocate(alignment, size);
  errno = error;
  if (block == NULL) return ENOMEM;
  *result = block;
  return 0;
}

/* As glibc's, for which 48 is 64. */
EXPORTED void *memalign(size_t alignment, size_t size) {
  size_t power = 1;
  while (power != 0 && power < alignment) power *= 2;
  return allocate_aligned(power, size);
}

EXPORTED void *valloc(size_t size) { return allocate(page_bytes(), size); }

EXPORTED void *pvalloc(size_t size) {
  size_t page = page_bytes(), bytes;
  if (__builtin_add_overflow(size, page - 1, &bytes)) return no_memory();
  return allocate(page, bytes & -page);
}

EXPORTED size_t malloc_usable_size(void *block) { return usable_size(block); }

/* Of programs that were linked against a glibc before 2.26. */
EXPORTED void cfree(void *block) { release(block); }

/* ---- What it says of itself --------------------------------------------------------------------- */

EXPORTED const char *allocphase_malloc_describe(void) {
  static char line[5000];
  static uint32_t lock;
  lock_take(&lock);
  struct text text = text_in(line, sizeof line);
  text_add(&text, "plugin=");
  text_add(&text, served_path());
  text_add(&text, served.locked ? "&locked=1&emulated=" : "&locked=0&emulated=");
  blocks_add_emulated(&text);
  text_add(&text, "&bootstrap_blocks=");
  text_add_number(&text, bootstrap_count());
  lock_drop(&lock);
  return line;
}
