/* operators.c: new and delete of C++, by the names that the Itanium ABI gives them.
 *
 * Each goes on to the one behind, as every other call. An allocator's own is one call. That of
 * libstdc++ calls malloc or free in turn, and one form of it another: such a call must be written
 * down once, as what the program called.
 *
 *     new      says by a *hint* what it was called by; the first allocation within takes it. Who
 *              finds the hint untouched was served by an allocator's own, and writes.
 *     delete   writes before the call, and leaves the block's address; a free of it within is not
 *              written again.
 *
 * An exception passes through new, hence -fexceptions in CMakeLists.txt: a failure that nobody
 * has written down is written on the way.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "preload/bootstrap.h"
#include "recorder/calls.h"
#include "recorder/lane.h"

struct asked {
  size_t size, alignment;
  unsigned entry; /* 0: it is another operator's call */
  void *block;    /* NULL: none yet */
};

static unsigned log2_of(size_t alignment) {
  return alignment == 0 ? 0 : (unsigned)__builtin_ctzll(alignment);
}

/* On the way out, be it by an exception. */
static void write_new(const struct asked *asked) {
  if (asked->entry == 0 || caller.hint != asked->entry) return;
  caller.hint = 0;
  unsigned kind = asked->block != NULL ? KIND_ALLOCATION : KIND_FAILED;
  lane_append(
      event_name(kind, asked->entry, log2_of(asked->alignment), (uintptr_t)asked->block),
      asked->size, 0);
}

static struct asked begin_new(unsigned entry, size_t size, size_t alignment) {
  struct asked asked = {size, alignment, 0, NULL};
  calls_are_ready();
  if (caller.hint == 0) asked.entry = caller.hint = (unsigned char)entry;
  return asked;
}

/* What `freed` is to be again behind the call: another's, where a signal handler deletes. */
static uintptr_t begin_delete(unsigned entry, const void *block, size_t size, size_t alignment) {
  uintptr_t before = caller.freed;
  if (!calls_are_ready() || bootstrap_contains(block)) return before;
  if (before == (uintptr_t)block + 1) return before;
  lane_append(event_name(KIND_FREE, entry, log2_of(alignment), (uintptr_t)block), size, 0);
  caller.freed = (uintptr_t)block + 1;
  return before;
}

/* Found when they are first called: a program without C++ has none. */
static void *behind(void **place, const char *name) {
  void *found = __atomic_load_n(place, __ATOMIC_RELAXED);
  if (__builtin_expect(found != NULL, 1)) return found;
  unsigned char hint = caller.hint;
  uintptr_t freed = caller.freed;
  caller.hint = 0; /* what the linker asks for itself is its own */
  found = next_function(name);
  caller.hint = hint;
  caller.freed = freed;
  if (found == NULL) abort(); /* called without a C++ library: it could not have been linked */
  __atomic_store_n(place, found, __ATOMIC_RELAXED);
  return found;
}

#define NEW(name, entry, alignment, parameters, types, arguments)                     \
  RECORDED void *name parameters;                                                     \
  RECORDED void *name parameters {                                                    \
    static void *place;                                                               \
    void *(*function) types;                                                          \
    *(void **)(void *)&function = behind(&place, #name);                              \
    __attribute__((cleanup(write_new))) struct asked asked =                          \
        begin_new(entry, size, alignment);                                            \
    asked.block = function arguments;                                                 \
    return asked.block;                                                               \
  }

#define NEWS(letter, entry)                                                                        \
  NEW(_Zn##letter##m, ENTRY_##entry, 0, (size_t size), (size_t), (size))                           \
  NEW(_Zn##letter##mRKSt9nothrow_t, ENTRY_##entry##_NOTHROW, 0,                                    \
      (size_t size, const void *nothrow), (size_t, const void *), (size, nothrow))                 \
  NEW(_Zn##letter##mSt11align_val_t, ENTRY_##entry##_ALIGNED, alignment,                           \
      (size_t size, size_t alignment), (size_t, size_t), (size, alignment))                        \
  NEW(_Zn##letter##mSt11align_val_tRKSt9nothrow_t, ENTRY_##entry##_ALIGNED_NOTHROW, alignment,     \
      (size_t size, size_t alignment, const void *nothrow), (size_t, size_t, const void *),        \
      (size, alignment, nothrow))

NEWS(w, NEW)
NEWS(a, NEW_ARRAY)

#define DELETE(name, entry, size, alignment, parameters, types, arguments) \
  RECORDED void name parameters;                                          \
  RECORDED void name parameters {                                         \
    static void *place;                                                   \
    void(*function) types;                                                \
    *(void **)(void *)&function = behind(&place, #name);                  \
    uintptr_t before = begin_delete(entry, block, size, alignment);       \
    function arguments;                                                   \
    caller.freed = before;                                                \
  }

#define DELETES(letter, entry)                                                                     \
  DELETE(_Zd##letter##Pv, ENTRY_##entry, 0, 0, (void *block), (void *), (block))                   \
  DELETE(_Zd##letter##Pvm, ENTRY_##entry##_SIZED, bytes, 0, (void *block, size_t bytes),           \
         (void *, size_t), (block, bytes))                                                         \
  DELETE(_Zd##letter##PvSt11align_val_t, ENTRY_##entry##_ALIGNED, 0, alignment,                    \
         (void *block, size_t alignment), (void *, size_t), (block, alignment))                    \
  DELETE(_Zd##letter##PvmSt11align_val_t, ENTRY_##entry##_SIZED_ALIGNED, bytes, alignment,         \
         (void *block, size_t bytes, size_t alignment), (void *, size_t, size_t),                  \
         (block, bytes, alignment))                                                                \
  DELETE(_Zd##letter##PvRKSt9nothrow_t, ENTRY_##entry##_NOTHROW, 0, 0,                             \
         (void *block, const void *nothrow), (void *, const void *), (block, nothrow))             \
  DELETE(_Zd##letter##PvSt11align_val_tRKSt9nothrow_t, ENTRY_##entry##_ALIGNED_NOTHROW, 0,         \
         alignment, (void *block, size_t alignment, const void *nothrow),                          \
         (void *, size_t, const void *), (block, alignment, nothrow))

DELETES(l, DELETE)
DELETES(a, DELETE_ARRAY)
