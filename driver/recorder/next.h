/* next.h: the functions of malloc that the program would have called: those of whoever is
 * preloaded behind the recorder, else libc's.
 *
 * Each is found with RTLD_NEXT, alone: an allocator that lacks one leaves it to libc, as it does
 * without the recorder. NULL: nobody behind has it.
 */
#ifndef ALLOCPHASE_RECORDER_NEXT_H
#define ALLOCPHASE_RECORDER_NEXT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "preload/touched.h"

struct next {
  bool ready;
  void *(*malloc)(size_t);
  void (*free)(void *);
  void *(*calloc)(size_t, size_t);
  void *(*realloc)(void *, size_t);
  void *(*reallocarray)(void *, size_t, size_t);
  int (*posix_memalign)(void **, size_t, size_t);
  void *(*aligned_alloc)(size_t, size_t);
  void *(*memalign)(size_t, size_t);
  void *(*valloc)(size_t);
  void *(*pvalloc)(size_t);
  size_t (*malloc_usable_size)(void *);
  void (*cfree)(void *);
  void (*free_sized)(void *, size_t);
  void (*free_aligned_sized)(void *, size_t, size_t);
  touched_bytes_of *touched_bytes; /* and the next: where liballocphase-touched.so is behind */
  touched_of_all *touched_all;
  int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  int (*pthread_join)(pthread_t, void **);
  int (*pthread_tryjoin_np)(pthread_t, void **);
  int (*pthread_timedjoin_np)(pthread_t, void **, const struct timespec *);
  int (*pthread_clockjoin_np)(pthread_t, void **, clockid_t, const struct timespec *);
};

extern struct next next;

/* Once the linker can be asked. False: not yet, or the calling thread is about to. */
bool next_find(void);

/* One of C++'s, or NULL: that of a library which came with a plug-in is not among those that the
 * linker finds behind us. */
void *next_operator(const char *name);

/* The one that an object would have called without us, by an address within it; or NULL. */
void *next_operator_of(const void *address, const char *name);

#endif
