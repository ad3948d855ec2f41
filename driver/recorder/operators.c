/* operators.c: new and delete of C++, by the names that the Itanium ABI gives them.
 *
 * Those of libstdc++ call malloc and free, or one form of them another; an allocator's own do not.
 * What is written for either stands in calls.h. An exception passes through new, hence
 * -fexceptions in CMakeLists.txt.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "recorder/calls.h"

/* Found when they are first called: a program without C++ has none. */
static void *behind(void **place, const char *name) {
  void *found = __atomic_load_n(place, __ATOMIC_RELAXED);
  if (__builtin_expect(found != NULL, 1)) return found;
  found = next_function(name);
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
    __attribute__((cleanup(asked_end))) struct asked asked = {size, alignment, entry, \
                                                              NULL, NULL};            \
    asked_begin(&asked);                                                              \
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
    uintptr_t before = freed_begin(entry, block, size, alignment);        \
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
