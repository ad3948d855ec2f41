#include "recorder/drainer/output.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_NOBODY_READS 13

uint32_t *output_stopped;

void output(const void *data, size_t bytes) {
  const char *rest = data;
  while (bytes > 0) {
    ssize_t written = write(STDOUT_FILENO, rest, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      if (output_stopped != NULL) __atomic_store_n(output_stopped, 1, __ATOMIC_RELAXED);
      _Exit(EXIT_NOBODY_READS);
    }
    rest += written;
    bytes -= (size_t)written;
  }
}
