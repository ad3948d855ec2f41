/* touched.h: what the recorder asks of liballocphase-touched.so, where that is preloaded behind it.
 *
 * Found by name (dlsym): a program that is recorded without it has none of this.
 */
#ifndef ALLOCPHASE_PRELOAD_TOUCHED_H
#define ALLOCPHASE_PRELOAD_TOUCHED_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes of a live block were touched so far, page by page. False: it is no block of pages,
 * or the kernel does not say. */
typedef bool touched_bytes_of(const void *block, size_t *bytes);

/* The same of each live block of pages. */
typedef void touched_tell(const void *block, size_t bytes);
typedef void touched_of_all(touched_tell *tell);

#endif
