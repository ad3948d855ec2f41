/* half: as a preload it replaces malloc alone, and leaves free and the rest to libc. */
#include <stddef.h>

void *__libc_malloc(size_t size);

void *malloc(size_t size) { return __libc_malloc(size); }
