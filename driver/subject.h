/* subject.h: the allocator under test, however it came into the process.
 *
 * A plug-in brings its own table. libc and preloaded libraries are the process's
 * own malloc, and get a table of those functions: the replay loop calls every
 * allocator in the same way.
 */
#ifndef ALLOCPHASE_SUBJECT_H
#define ALLOCPHASE_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "allocphase.h"
#include "base/json.h"
#include "options.h"

struct subject {
  /* calloc, and in threaded traces every function, may be the driver's own: see
   * `emulated` and `locked`. realloc and aligned_alloc stay NULL when absent:
   * the replay loop emulates them, since it knows the old size and the address. */
  struct allocphase_allocator table;
  const char *provider; /* the object that malloc lies in, by dladdr */
  const char *emulated[4];
  int emulated_count;
  size_t tls_module; /* of a plug-in with thread-local variables: the linker's number; else 0 */
  bool locked; /* not thread-safe: every call goes through one lock */
};

/* The lock is the driver's, not the allocator's. In each thread: a byte that is 0
 * while the lock itself works, for a probe that asks whose system call it sees, or
 * NULL; and whether the last locked call met another thread there, so that it had to
 * wait or to wake. */
extern _Thread_local volatile uint8_t *subject_gate;
extern _Thread_local bool subject_waited;

/* Why a subject cannot be measured: a status of the result, and one line. */
struct refusal {
  const char *status;
  char message[512];
};

/* Loads the table and proves where its functions come from. `threads` > 1 puts
 * an allocator that is not thread-safe behind a lock. Nothing is initialised
 * yet. Returns false with the reason. */
bool subject_load(struct subject *subject, const struct options *options, uint32_t threads,
                  struct refusal *refusal);
bool subject_init(struct subject *subject, const struct options *options,
                  struct refusal *refusal);
/* In each thread, before the allocator is called there: the linker's own work for the
 * plug-in's thread-local variables is none of the allocator's. */
void subject_thread_prepare(const struct subject *subject);
void subject_describe(const struct subject *subject, struct json *json);
/* What the allocator says of itself, as the object "allocator_stats". */
void subject_stats(const struct subject *subject, struct json *json);

#endif
