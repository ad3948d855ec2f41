/* freestanding.h: what the driver has of its own, where others take it from libc.
 *
 * A library that is preloaded comes before libc: its clock_gettime, memcmp or write would
 * be the driver's too, and could make any figure of it. freestanding.c has its own under
 * the same names, which are bound when the driver is linked and are nobody else's. What
 * is left to libc and the linker (threads, dlopen) binding.c looks at.
 *
 * Three are libc's all the same, once it is sure that they are: what fills and copies
 * blocks in a timed replay has to be as fast as a program's own.
 */
#ifndef ALLOCPHASE_FREESTANDING_H
#define ALLOCPHASE_FREESTANDING_H

#include <stddef.h>

#include "base/elf_object.h"

/* Whoever asks for memcpy, memmove or memset has libc's from now on. */
void freestanding_bind(const struct elf_object *libc);

#endif
