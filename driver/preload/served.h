/* served.h: the plug-in that serves this process, and the way into it.
 *
 *     if (!served_enter()) return ... of the bootstrap ...;
 *     ... blocks.h ...
 *     served_leave();
 *
 * A thread's *place* says where it is:
 *
 *     NEW      has not called yet: thread_start is to come
 *     OUTSIDE  in the program
 *     INSIDE   in the plug-in: what it asks for now is the plug-in's own, and is the
 *              bootstrap's. So is what a signal handler asks for meanwhile.
 *     PARTED   thread_stop was called, by the last round of the thread's destructors. What it
 *              still asks for or frees has a thread_start and a thread_stop of its own.
 *
 * A plug-in that is not thread-safe is entered through one lock.
 */
#ifndef ALLOCPHASE_SERVED_H
#define ALLOCPHASE_SERVED_H

#include <stdbool.h>
#include <stdint.h>

#include "allocphase.h"
#include "base/lock.h"

enum place { NEW, OUTSIDE, INSIDE, PARTED, INSIDE_PARTED };

struct served {
  struct allocphase_allocator table;
  bool locked; /* not thread-safe */
  bool framed; /* lacks usable_size or aligned_alloc: see blocks.h */
  uint32_t lock;
};

extern struct served served;

/* The place is read and written by the thread and by its signal handlers. Initial-exec: to find
 * a variable of another kind the linker may call malloc. */
struct caller {
  volatile unsigned char place;
  bool forks_with_lock;
  int *error; /* errno, whose address costs a call; set once the thread is no longer NEW */
};

extern _Thread_local struct caller caller __attribute__((tls_model("initial-exec")));

/* Of the plug-in. */
const char *served_path(void);

bool served_enter_slowly(void);
void served_leave_slowly(void);

/* False: the bootstrap has to serve. True: `caller.error` is set. errno stays as it is. */
static inline bool served_enter(void) {
  if (__builtin_expect(caller.place == OUTSIDE, 1)) caller.place = INSIDE;
  else if (!served_enter_slowly()) return false;
  if (served.locked) lock_take(&served.lock);
  return true;
}

static inline void served_leave(void) {
  if (served.locked) lock_drop(&served.lock);
  if (__builtin_expect(caller.place == INSIDE, 1)) caller.place = OUTSIDE;
  else served_leave_slowly();
}

/* One line on stderr, then _exit(127), as of a command that cannot be run: the program never
 * gets another malloc than the one it was to have. */
_Noreturn void served_give_up(const char *what, const char *detail);

#endif
