/* malloc.h: what liballocphase-malloc.so offers; see malloc.c. */
#ifndef ALLOCPHASE_PRELOAD_MALLOC_H
#define ALLOCPHASE_PRELOAD_MALLOC_H

#include <stddef.h>

#include "preload/exported.h"

/* malloc (alignment 0) or aligned_alloc, and free, for the other files here: not by their
 * names, which may be another library's in this process. */
void *preload_allocate(size_t alignment, size_t size);
void preload_release(void *block);

/* For who wants to know who serves a process (by dlsym), in one line that a program and a
 * reader can take apart; all but the last number are the same in every call:
 *
 *     plugin=/path/phase1.so&locked=1&emulated=calloc,realloc&bootstrap_blocks=7
 *
 * `locked`: 1 where the plug-in is not thread-safe, so that all calls go through one lock.
 * `emulated`: what is not the plug-in's own. */
EXPORTED const char *allocphase_malloc_describe(void);

#endif
