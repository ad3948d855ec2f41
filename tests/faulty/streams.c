/* streams: its third malloc closes every descriptor, or writes 96 MiB to stdout or to
 * stderr. */
#include "correct.h"

#define FLOOD_BYTES ((size_t)96 << 20)

static void flood(int fd) {
  static char noise[1 << 20];
  memset(noise, 'x', sizeof noise);
  for (size_t done = 0; done < FLOOD_BYTES; done += sizeof noise)
    if (write(fd, noise, sizeof noise) < 0) return;
}

static void *faulty_malloc(size_t size) {
  if (mallocs != 2) return correct_malloc(size);
  if (is("closed"))
    for (int fd = 0; fd < 1024; fd++) close(fd);
  if (is("stdout-flood")) flood(1);
  if (is("stderr-flood")) flood(2);
  return correct_malloc(size);
}

PLUGIN(.init = correct_init, .fini = correct_fini, .malloc = faulty_malloc, .free = correct_free)
