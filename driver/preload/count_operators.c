/* count_operators.c: new and delete of C++ as calls of the program's own, by the names that the
 * Itanium ABI gives them; see operators.c.
 *
 * libstdc++'s call malloc and free, an allocator's often do not: counted here, the same program
 * has the same counts under both. Each is handed on to the next of its name. In a process
 * without one, where a library with a libstdc++ of its own was loaded late, malloc serves.
 *
 * What throws is not called between count_enter and count_leave: first new(nothrow) is asked, and
 * where that has nothing, the throwing one runs the handlers, or throws, by itself. So a new that
 * fails may count more than once.
 */
#include <stdlib.h>

#include "preload/count.h"

static void *without_operators(size_t size, size_t alignment) {
  return alignment == 0 ? count_next.malloc(size) : count_next.aligned_alloc(alignment, size);
}

/* Where nobody here can throw, nobody could catch it either. */
static void *or_abort(void *block) {
  if (block == NULL) abort();
  return block;
}

/* ---- new: w an object, a an array; m size_t; St11align_val_t; RKSt9nothrow_t ------------------ */

typedef void *plain_new(size_t);
typedef void *aligned_new(size_t, size_t);
typedef void *nothrow_new(size_t, const void *);
typedef void *nothrow_aligned_new(size_t, size_t, const void *);

static const char nothrow; /* std::nothrow is told by its type alone */

#define NEW(name)                                                                                 \
  EXPORTED void *_Zn##name##mRKSt9nothrow_t(size_t size, const void *tag);                        \
  EXPORTED void *_Zn##name##mRKSt9nothrow_t(size_t size, const void *tag) {                       \
    NEXT(nothrow_new *, next, "_Zn" #name "mRKSt9nothrow_t");                                     \
    if (!count_is_ready()) return NULL;                                                           \
    bool is_outer = count_enter();                                                                \
    void *block = next != NULL ? next(size, tag) : without_operators(size, 0);                    \
    if (is_outer) count_got(COUNTED_NEW, block, size);                                            \
    if (is_outer) count_leave();                                                                  \
    return block;                                                                                 \
  }                                                                                               \
  EXPORTED void *_Zn##name##mSt11align_val_tRKSt9nothrow_t(size_t, size_t, const void *);         \
  EXPORTED void *_Zn##name##mSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment,         \
                                                           const void *tag) {                     \
    NEXT(nothrow_aligned_new *, next, "_Zn" #name "mSt11align_val_tRKSt9nothrow_t");              \
    if (!count_is_ready()) return NULL;                                                           \
    bool is_outer = count_enter();                                                                \
    void *block = next != NULL ? next(size, alignment, tag) : without_operators(size, alignment); \
    if (is_outer) count_got(COUNTED_NEW, block, size);                                            \
    if (is_outer) count_leave();                                                                  \
    return block;                                                                                 \
  }                                                                                               \
  EXPORTED void *_Zn##name##m(size_t size);                                                       \
  EXPORTED void *_Zn##name##m(size_t size) {                                                      \
    NEXT(plain_new *, next, "_Zn" #name "m");                                                     \
    if (counted_caller.inside && next != NULL) return next(size);                                 \
    void *block = _Zn##name##mRKSt9nothrow_t(size, &nothrow);                                     \
    return block != NULL || next == NULL ? or_abort(block) : next(size);                          \
  }                                                                                               \
  EXPORTED void *_Zn##name##mSt11align_val_t(size_t size, size_t alignment);                      \
  EXPORTED void *_Zn##name##mSt11align_val_t(size_t size, size_t alignment) {                     \
    NEXT(aligned_new *, next, "_Zn" #name "mSt11align_val_t");                                    \
    if (counted_caller.inside && next != NULL) return next(size, alignment);                      \
    void *block = _Zn##name##mSt11align_val_tRKSt9nothrow_t(size, alignment, &nothrow);           \
    return block != NULL || next == NULL ? or_abort(block) : next(size, alignment);               \
  }

NEW(w)
NEW(a)

/* ---- delete ------------------------------------------------------------------------------------- */

#define DELETE(name, parameters, ...)                                         \
  EXPORTED void name parameters;                                              \
  EXPORTED void name parameters {                                             \
    typedef void next_delete parameters;                                      \
    NEXT(next_delete *, next, #name);                                         \
    if (block == NULL) return;                                                \
    bool is_outer = count_enter();                                            \
    if (is_outer) count_given(COUNTED_DELETE, block);                         \
    if (next != NULL) next(__VA_ARGS__);                                      \
    else count_next.free(block);                                              \
    if (is_outer) count_leave();                                              \
  }

#define DELETES(name)                                                                              \
  DELETE(name##Pv, (void *block), block)                                                           \
  DELETE(name##Pvm, (void *block, size_t size), block, size)                                       \
  DELETE(name##PvSt11align_val_t, (void *block, size_t alignment), block, alignment)               \
  DELETE(name##PvmSt11align_val_t, (void *block, size_t size, size_t alignment), block, size,      \
         alignment)                                                                                \
  DELETE(name##PvRKSt9nothrow_t, (void *block, const void *tag), block, tag)                       \
  DELETE(name##PvSt11align_val_tRKSt9nothrow_t,                                                    \
         (void *block, size_t alignment, const void *tag), block, alignment, tag)

DELETES(_Zdl)
DELETES(_Zda)
