/* many_threads: calls malloc in a thread before which MOST_THREADS have been made, as far as the
 * recorder knows, and in a few more. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "recorder/arena.h"

#define THREADS 3
#define CALLS 200000 /* more than a ring has room for */

static void *work(void *unused) {
  for (int i = 0; i < CALLS; i++) free(malloc(32));
  return unused;
}

int main(void) {
  int fd = open(getenv("ALLOCPHASE_RECORDER"), O_RDWR);
  struct arena *arena =
      mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (arena == MAP_FAILED) return 1;
  arena->processes[0].threads = MOST_THREADS;
  for (int i = 0; i < THREADS; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) != 0) return 2;
    pthread_join(thread, NULL);
  }
  return 0;
}
