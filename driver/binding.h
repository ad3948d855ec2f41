/* binding.h: whose functions does the driver call, and whose place does the subject take?
 *
 * What freestanding.h does not have the driver still takes from libc and the linker. A
 * library that is preloaded may export one of those names, too: then the driver would
 * call that, and no figure of it could be believed. So each function that the driver was
 * bound to has to lie in an object that the driver itself needs.
 *
 * Two are taken over by allocators for good reasons, and do what libc's do: pthread_create,
 * to know of threads, and fork.
 */
#ifndef ALLOCPHASE_BINDING_H
#define ALLOCPHASE_BINDING_H

#include <stdbool.h>

#include "base/json.h"
#include "base/text.h"

/* `preload`: the path of the library that is measured, or NULL. `trusted`: that of a library
 * that may serve the driver all the same, or NULL: a sanitizer's runtime wraps half of libc, and
 * who looks for a fault with it wants no figure. Returns false when a function of the driver's is
 * served by a stranger; `names` gets whose. From then on what copies blocks in a timed replay is
 * libc's. */
bool binding_prove(const char *preload, const char *trusted, struct text *names);

/* Adds the array `interposes`: each function of libc's that the preload has put its own in
 * place of, but for those that hand out or take memory. */
void binding_report(struct json *json);

#endif
