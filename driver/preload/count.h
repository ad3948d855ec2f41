/* count.h: what the two files of the counting preload share; see count.c. */
#ifndef ALLOCPHASE_PRELOAD_COUNT_H
#define ALLOCPHASE_PRELOAD_COUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "preload/bootstrap.h"
#include "preload/counted.h"
#include "preload/exported.h"

/* The functions behind these here; NULL: nobody has it. */
struct next {
  void *(*malloc)(size_t size);
  void *(*calloc)(size_t count, size_t size);
  void *(*realloc)(void *block, size_t size);
  void *(*reallocarray)(void *block, size_t count, size_t size);
  void (*free)(void *block);
  void *(*aligned_alloc)(size_t alignment, size_t size);
  int (*posix_memalign)(void **result, size_t alignment, size_t size);
  void *(*memalign)(size_t alignment, size_t size);
  void *(*valloc)(size_t size);
  void *(*pvalloc)(size_t size);
  size_t (*malloc_usable_size)(void *block);
};

extern struct next count_next;
extern bool count_is_known;

bool count_look_up(void);

/* False while `count_next` is looked up: the bootstrap has to serve. */
static inline bool count_is_ready(void) {
  return __builtin_expect(__atomic_load_n(&count_is_known, __ATOMIC_ACQUIRE), 1) || count_look_up();
}

/* One that few programs call, looked up at its first call; NULL: nobody has it. `kept`: what was
 * found, its own address for nothing. */
void *count_next_of(void **kept, const char *name);

#define NEXT(type, function, name) \
  static void *function##_kept;    \
  type function;                   \
  *(void **)&function = count_next_of(&function##_kept, name)

/* Around a call of the next function, but within another such call: then it is not the program's.
 * A throwing function must not stand between the two. */
static inline bool count_enter(void) {
  if (counted_caller.inside) return false;
  counted_caller.inside = 1;
  return true;
}

static inline void count_leave(void) { counted_caller.inside = 0; }

static inline int64_t count_usable(void *block) {
  if (counted_process->usable_unknown) return 0;
  return (int64_t)count_next.malloc_usable_size(block);
}

/* Of a call that got `block`, or NULL. */
static inline void count_got(enum counted_kind kind, void *block, size_t requested_bytes) {
  counted_call(kind, block == NULL ? 0 : requested_bytes);
  if (block != NULL) counted_live(count_usable(block));
}

/* Before a block, not NULL, is given back. */
static inline void count_given(enum counted_kind kind, void *block) {
  counted_call(kind, 0);
  counted_live(-count_usable(block));
}

/* For who wants to know who stands behind a function of this library's; NULL: nobody. */
EXPORTED void *allocphase_count_behind(const char *function);

#endif
