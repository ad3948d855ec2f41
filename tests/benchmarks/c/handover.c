/* Two threads, of which one allocates and the other frees, and what may be particular about a
 * replay's threads as switches: handover NAME NAME NAME OBJECTS, each of the first three one of
 *
 *   flag   each object is handed over through a word of its own, as a replay does
 *   lock   batches of them through a list under a mutex and a condition, as xmalloc-test does
 *   pinned each thread to a CPU of its own          free    wherever the kernel puts them
 *   step   both begin at once                       apart   the one that frees 200 µs later
 *
 * Prints the nanoseconds an object took, of as many turns as there are lines. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TURNS 15
#define RING 1024
#define BATCH 64
#define LATE_NS 200000

static bool locked, pinned, apart;
static uint32_t objects;
static pthread_barrier_t start, end;

/* By flags: a full word is the consumer's, an empty one the producer's. */
static _Atomic(void *) ring[RING];

/* By a lock: a list of batches, not longer than the ring. */
struct batch {
  void *object[BATCH];
  struct batch *next;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct batch *batches;
static uint32_t waiting;

static void pause_spinning(uint32_t *spins) {
  if (++*spins % 1024 == 0) sched_yield();
}

static void *allocate(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  size_t size = 16 + (*state >> 22); /* to 1,039 bytes */
  char *object = malloc(size);
  if (!object) abort();
  object[0] = object[size - 1] = 1;
  return object;
}

static void produce_by_flag(uint32_t *state) {
  uint32_t spins = 0;
  for (uint32_t i = 0; i < objects; i++) {
    void *object = allocate(state);
    while (atomic_load_explicit(&ring[i % RING], memory_order_acquire)) pause_spinning(&spins);
    atomic_store_explicit(&ring[i % RING], object, memory_order_release);
  }
}

static void consume_by_flag(void) {
  uint32_t spins = 0;
  for (uint32_t i = 0; i < objects; i++) {
    void *object;
    while (!(object = atomic_load_explicit(&ring[i % RING], memory_order_acquire)))
      pause_spinning(&spins);
    atomic_store_explicit(&ring[i % RING], NULL, memory_order_release);
    free(object);
  }
}

static void produce_by_lock(uint32_t *state) {
  for (uint32_t i = 0; i < objects; i += BATCH) {
    struct batch *batch = malloc(sizeof *batch);
    if (!batch) abort();
    for (uint32_t k = 0; k < BATCH; k++) batch->object[k] = allocate(state);
    pthread_mutex_lock(&lock);
    while (waiting == RING / BATCH) pthread_cond_wait(&changed, &lock);
    batch->next = batches;
    batches = batch;
    waiting++;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
  }
}

static void consume_by_lock(void) {
  for (uint32_t i = 0; i < objects; i += BATCH) {
    pthread_mutex_lock(&lock);
    while (!batches) pthread_cond_wait(&changed, &lock);
    struct batch *batch = batches;
    batches = batch->next;
    waiting--;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    for (uint32_t k = 0; k < BATCH; k++) free(batch->object[k]);
    free(batch);
  }
}

/* The n-th of the CPUs that this process may use. */
static void pin(int n) {
  cpu_set_t allowed, one;
  CPU_ZERO(&one);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) abort();
  int count = CPU_COUNT(&allowed), cpu = 0;
  for (int left = n % count;; cpu++)
    if (CPU_ISSET(cpu, &allowed) && left-- == 0) break;
  CPU_SET(cpu, &one);
  if (pthread_setaffinity_np(pthread_self(), sizeof one, &one) != 0) abort();
}

static void *consumer(void *unused) {
  if (pinned) pin(1);
  for (int turn = 0; turn < TURNS; turn++) {
    pthread_barrier_wait(&start);
    if (apart) nanosleep(&(struct timespec){0, LATE_NS}, NULL);
    locked ? consume_by_lock() : consume_by_flag();
    pthread_barrier_wait(&end);
  }
  return unused;
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  locked = !strcmp(argv[1], "lock");
  pinned = !strcmp(argv[2], "pinned");
  apart = !strcmp(argv[3], "apart");
  objects = (uint32_t)strtoul(argv[4], NULL, 10) / BATCH * BATCH;
  if (objects == 0) return 2;
  pthread_barrier_init(&start, NULL, 2);
  pthread_barrier_init(&end, NULL, 2);
  pthread_t other;
  if (pthread_create(&other, NULL, consumer, NULL) != 0) return 1;
  if (pinned) pin(0);
  uint32_t state = 1;
  for (int turn = 0; turn < TURNS; turn++) {
    pthread_barrier_wait(&start);
    uint64_t begin = now_ns();
    locked ? produce_by_lock(&state) : produce_by_flag(&state);
    pthread_barrier_wait(&end);
    printf("%.3f\n", (double)(now_ns() - begin) / objects);
  }
  return pthread_join(other, NULL);
}
