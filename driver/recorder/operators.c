/* operators.c: new and delete of C++, by the names that the Itanium ABI gives them.
 *
 * Those of libstdc++ call malloc and free, or one form of them another; an allocator's own do not.
 * What is written for either stands in calls.h. An exception passes through new, hence
 * -fexceptions in CMakeLists.txt; nothing here needs to see it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "recorder/calls.h"

/* ---- Without a C++ library among those behind us: it came with a plug-in ------------------- */

/* As libstdc++'s does it until there is no memory: then the one of the object that called is asked,
 * which has a handler to call, or something to throw. */
static void *new_of_malloc(size_t size, size_t alignment) {
  size_t asked = size == 0 ? 1 : size;
  void *block = NULL;
  if (alignment == 0) block = next.malloc(asked);
  else if (next.posix_memalign(&block, alignment, asked) != 0) block = NULL;
  return block;
}

/* Found when they are first called. NULL: there is none. */
static void *behind(void **place, const char *name) {
  static char none;
  void *found = __atomic_load_n(place, __ATOMIC_RELAXED);
  if (__builtin_expect(found == NULL, 0)) {
    calls_are_ready();
    found = next_operator(name);
    __atomic_store_n(place, found == NULL ? &none : found, __ATOMIC_RELAXED);
  }
  return found == &none ? NULL : found;
}

/* ---- new ------------------------------------------------------------------------------------ */

/* Where nothing can be thrown for want of a library, nobody could catch it. */
#define NEW(name, entry, alignment, may_fail, parameters, types, arguments) \
  RECORDED void *name parameters;                                           \
  RECORDED void *name parameters {                                          \
    static void *place;                                                     \
    void *(*function) types;                                                \
    *(void **)(void *)&function = behind(&place, #name);                    \
    struct asking asking;                                                   \
    asked_begin(&asking, entry, size, alignment);                           \
    void *block = NULL;                                                     \
    if (function == NULL) block = new_of_malloc(size, alignment);           \
    if (block != NULL) return asked_end(&asking, block);                    \
    if (function == NULL)                                                   \
      *(void **)(void *)&function =                                         \
          next_operator_of(__builtin_return_address(0), #name);             \
    if (function != NULL) block = function arguments;                       \
    else if (!may_fail) abort();                                            \
    return asked_end(&asking, block);                                       \
  }

#define NEWS(letter, entry)                                                                        \
  NEW(_Zn##letter##m, ENTRY_##entry, 0, false, (size_t size), (size_t), (size)) \
  NEW(_Zn##letter##mRKSt9nothrow_t, ENTRY_##entry##_NOTHROW, 0, true,                              \
      (size_t size, const void *nothrow), (size_t, const void *), (size, nothrow))                 \
  NEW(_Zn##letter##mSt11align_val_t, ENTRY_##entry##_ALIGNED, alignment, false,                    \
      (size_t size, size_t alignment), (size_t, size_t), (size, alignment))                        \
  NEW(_Zn##letter##mSt11align_val_tRKSt9nothrow_t, ENTRY_##entry##_ALIGNED_NOTHROW, alignment,     \
      true, (size_t size, size_t alignment, const void *nothrow), (size_t, size_t, const void *), \
      (size, alignment, nothrow))

NEWS(w, NEW)
NEWS(a, NEW_ARRAY)

/* ---- delete --------------------------------------------------------------------------------- */

#define DELETE(name, entry, size, alignment, parameters, types, arguments) \
  RECORDED void name parameters;                                          \
  RECORDED void name parameters {                                         \
    static void *place;                                                   \
    void(*function) types;                                                \
    *(void **)(void *)&function = behind(&place, #name);                  \
    uintptr_t before = freed_begin(entry, block, size, alignment);        \
    if (function != NULL) function arguments;                             \
    else free(block); /* is not written again */                          \
    caller_set_freed(before);                                             \
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
