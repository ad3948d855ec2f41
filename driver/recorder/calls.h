/* calls.h: what the files of the recorder that take a program's calls have in common. */
#ifndef ALLOCPHASE_RECORDER_CALLS_H
#define ALLOCPHASE_RECORDER_CALLS_H

#include <stdbool.h>
#include <stddef.h>

#include "recorder/next.h"

#define RECORDED __attribute__((visibility("default")))

bool calls_prepare(void);

/* Whether the functions behind are known, and the recording of this process has begun if there
 * is one. */
static inline bool calls_are_ready(void) {
  return __builtin_expect(next.ready, 1) || calls_prepare();
}

#endif
