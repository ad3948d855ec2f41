/* lanes: threads that write events as the recorder does, without a malloc in between, so that a
 * sanitizer can have its own. Linked with driver/recorder but for the functions of malloc; its
 * drainer is that of the environment. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recorder/image.h"
#include "recorder/lane.h"
#include "recorder/next.h"

#define THREADS 8
#define EVENTS 40000

static void pair(uint64_t address, uint64_t extra) {
  lane_append(event_name(KIND_ALLOCATION, ENTRY_MALLOC, 0, address), 100, extra);
  lane_append(event_name(KIND_FREE, ENTRY_FREE, 0, address), 0, 0);
}

static void handle(int number) {
  static _Thread_local char block; /* no other thread has its address */
  (void)number;
  pair((uint64_t)(uintptr_t)&block, 0);
}

static void *write_events(void *number) {
  for (uint64_t i = 0; i < EVENTS; i++) pair(0x10000 + ((uint64_t)(uintptr_t)number << 20) + i * 16, i % 3);
  return NULL;
}

static void write_with_threads(void) {
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++)
    if (pthread_create(&threads[i], NULL, write_events, (void *)i) != 0) abort();
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void write_in_a_child(void) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    pair(0x20, (uint64_t)1 << 40);
    lane_append(event_name(KIND_FAILED, ENTRY_MALLOC, 0, 0), UINT64_MAX, 0);
    _exit(0);
  }
  if (waitpid(child, &status, 0) != child || status != 0) abort();
}

int main(void) {
  struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
  if (!next_find() || !image_open()) return 3;
  lane_prepare();
  lane_begin();
  signal(SIGALRM, handle);
  setitimer(ITIMER_REAL, &often, NULL);
  write_with_threads();
  setitimer(ITIMER_REAL, &never, NULL);
  write_in_a_child();
  return 0;
}
