/* operators.c: new and delete of C++, by the names that the Itanium ABI gives them.
 *
 * libstdc++'s own would do: they call malloc and free. But an allocator that replaces malloc
 * replaces these too, and what is measured is one call.
 *
 * In C, since a preload must not bring a libstdc++ into programs that have none. What needs
 * one is looked up when there is no memory, which only happens in a program that has it:
 *
 *     new            calls the handler of set_new_handler until one of them helps; without
 *                    a handler throws std::bad_alloc
 *     new(nothrow)   goes to the next one in the process, libstdc++'s, which calls `new` above
 *                    and catches what it throws, a handler's own exception included: C cannot
 *
 * An exception passes through these functions, hence -fexceptions in CMakeLists.txt.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "preload/malloc.h"

typedef void new_handler(void);

/* ---- No memory ----------------------------------------------------------------------------- */

static new_handler *current_handler(void) {
  new_handler *(*get)(void);
  *(void **)&get = dlsym(RTLD_DEFAULT, "_ZSt15get_new_handlerv");
  return get == NULL ? NULL : get();
}

/* libstdc++'s, or libc++'s. */
_Noreturn static void throw_bad_alloc(void) {
  static const char *const names[] = {"_ZSt17__throw_bad_allocv",
                                      "_ZNSt3__117__throw_bad_allocEv"};
  for (int i = 0; i < 2; i++) {
    void (*function)(void);
    *(void **)&function = dlsym(RTLD_DEFAULT, names[i]);
    if (function != NULL) function();
  }
  abort(); /* no C++ library: nobody could catch it */
}

__attribute__((noinline, cold)) static void *new_with_handlers(size_t alignment, size_t size) {
  for (;;) {
    new_handler *handler = current_handler();
    if (handler == NULL) throw_bad_alloc();
    handler();
    void *block = preload_allocate(alignment, size);
    if (block != NULL) return block;
  }
}

static void *new_or_throw(size_t alignment, size_t size) {
  void *block = preload_allocate(alignment, size);
  return __builtin_expect(block != NULL, 1) ? block : new_with_handlers(alignment, size);
}

__attribute__((noinline, cold)) static void *next_one(const char *name, size_t size,
                                                      size_t alignment, const void *nothrow) {
  if (alignment == 0) {
    void *(*plain)(size_t, const void *);
    *(void **)&plain = dlsym(RTLD_NEXT, name);
    return plain == NULL ? NULL : plain(size, nothrow);
  }
  void *(*aligned)(size_t, size_t, const void *);
  *(void **)&aligned = dlsym(RTLD_NEXT, name);
  return aligned == NULL ? NULL : aligned(size, alignment, nothrow);
}

static void *new_or_null(const char *name, size_t size, size_t alignment, const void *nothrow) {
  void *block = preload_allocate(alignment, size);
  return __builtin_expect(block != NULL, 1) ? block : next_one(name, size, alignment, nothrow);
}

/* ---- new: w an object, a an array; m size_t; St11align_val_t; RKSt9nothrow_t ------------------ */

#define NEW(name)                                                                           \
  EXPORTED void *_Zn##name##m(size_t size);                                                 \
  EXPORTED void *_Zn##name##m(size_t size) { return new_or_throw(0, size); }                \
  EXPORTED void *_Zn##name##mSt11align_val_t(size_t size, size_t alignment);                \
  EXPORTED void *_Zn##name##mSt11align_val_t(size_t size, size_t alignment) {               \
    return new_or_throw(alignment, size);                                                   \
  }                                                                                         \
  EXPORTED void *_Zn##name##mRKSt9nothrow_t(size_t size, const void *nothrow);              \
  EXPORTED void *_Zn##name##mRKSt9nothrow_t(size_t size, const void *nothrow) {             \
    return new_or_null("_Zn" #name "mRKSt9nothrow_t", size, 0, nothrow);                    \
  }                                                                                         \
  EXPORTED void *_Zn##name##mSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment,   \
                                                           const void *nothrow);            \
  EXPORTED void *_Zn##name##mSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment,   \
                                                           const void *nothrow) {           \
    return new_or_null("_Zn" #name "mSt11align_val_tRKSt9nothrow_t", size, alignment, nothrow); \
  }

NEW(w)
NEW(a)

/* ---- delete: whatever else it is told, the block is enough -------------------------------------- */

#define DELETE(suffix)                                                    \
  EXPORTED void _Zdl##suffix(void *block);                                \
  EXPORTED void _Zdl##suffix(void *block) { preload_release(block); }     \
  EXPORTED void _Zda##suffix(void *block);                                \
  EXPORTED void _Zda##suffix(void *block) { preload_release(block); }

DELETE(Pv)
DELETE(Pvm)
DELETE(PvSt11align_val_t)
DELETE(PvmSt11align_val_t)
DELETE(PvRKSt9nothrow_t)
DELETE(PvSt11align_val_tRKSt9nothrow_t)
