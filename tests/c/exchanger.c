/* exchanger: threads that free each other's objects, on one allocator that is thread-safe.
 *
 * Linked with the allocator's source, so that a sanitizer sees both:
 *
 *     exchanger WHAT
 *
 *     around     objects go round between threads that come and go, each with its own check
 *     passed     one thread allocates, another one frees; both stay
 *     left       thread after thread allocates and ends, and its objects are freed afterwards
 *     inherited  threads that live at once do so, and then one thread wants as much for itself
 *     twice      two threads free one object, one after the other
 *     alike      a thread frees another's live object, in which it is written what a free one has
 *     shrunk     another thread's object is resized and asked for its size
 *
 * The first fault goes to stderr, exit code 1. Statistics go to stdout at the end, with nothing
 * live.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocphase.h"

#define THREADS 4
#define OBJECTS 4000
#define BYTES 200
#define SLOTS 64

static const struct allocphase_allocator *allocator;

static void fault(const char *what) {
  fprintf(stderr, "exchanger: %s\n", what);
  exit(1);
}

static void check(void) {
  const char *broken = allocator->check();
  if (broken != NULL) fault(broken);
}

/* ---- Threads with the hooks that the contract gives them -------------------------------- */

struct task {
  pthread_t thread;
  void (*work)(unsigned number);
  unsigned number;
};

static void *run_task(void *given) {
  struct task *task = given;
  if (allocator->thread_start != NULL) allocator->thread_start();
  task->work(task->number);
  check();
  if (allocator->thread_stop != NULL) allocator->thread_stop();
  return NULL;
}

static void start(struct task *task, void (*work)(unsigned), unsigned number) {
  task->work = work;
  task->number = number;
  if (pthread_create(&task->thread, NULL, run_task, task) != 0) fault("no thread");
}

static void join(struct task *task) { pthread_join(task->thread, NULL); }

static void alone(void (*work)(unsigned), unsigned number) {
  struct task task;
  start(&task, work, number);
  join(&task);
}

static void at_once(void (*work)(unsigned), unsigned number) {
  struct task tasks[THREADS];
  for (unsigned i = 0; i < THREADS; i++) start(&tasks[i], work, number + i);
  for (unsigned i = 0; i < THREADS; i++) join(&tasks[i]);
}

/* ---- Objects ------------------------------------------------------------------------------ */

struct object {
  size_t size;
  unsigned char pattern;
  unsigned char bytes[];
};

static struct object *object_new(size_t size, unsigned char pattern) {
  struct object *object = allocator->malloc(sizeof *object + size);
  if (object == NULL) fault("no memory");
  object->size = size;
  object->pattern = pattern;
  memset(object->bytes, pattern, size);
  return object;
}

static void object_free(struct object *object) {
  if (object == NULL) return;
  for (size_t i = 0; i < object->size; i++)
    if (object->bytes[i] != object->pattern) fault("an object has changed");
  allocator->free(object);
}

/* ---- around ---------------------------------------------------------------------------------- */

static _Atomic(struct object *) slots[SLOTS];

static void put_and_take(unsigned number) {
  unsigned random = number * 2654435761u;
  for (int i = 0; i < 1500; i++) {
    random = random * 1664525u + 1013904223u;
    size_t size = (random >> 8) % (random >> 29 == 0 ? 60000 : 900);
    object_free(atomic_exchange(&slots[(random >> 4) % SLOTS], object_new(size, random >> 16)));
    if (i % 500 == 0) check();
  }
}

static void around(void) {
  for (unsigned generation = 0; generation < 5; generation++)
    at_once(put_and_take, generation * THREADS);
  for (int i = 0; i < SLOTS; i++) object_free(atomic_exchange(&slots[i], NULL));
}

/* ---- passed: a slot is full or empty -------------------------------------------------------------- */

#define PASSED 100000

static void give(unsigned number) {
  for (unsigned i = 0; i < PASSED; i++) {
    struct object *object = object_new(BYTES, (unsigned char)(i + number));
    while (atomic_load(&slots[i % SLOTS]) != NULL) sched_yield();
    atomic_store(&slots[i % SLOTS], object);
  }
}

static void take(unsigned number) {
  for (unsigned i = number; i < PASSED; i++) {
    struct object *object;
    while ((object = atomic_exchange(&slots[i % SLOTS], NULL)) == NULL) sched_yield();
    object_free(object);
  }
}

static void passed(void) {
  struct task giver, taker;
  start(&giver, give, 0);
  start(&taker, take, 0);
  join(&giver);
  join(&taker);
}

/* ---- left and inherited ------------------------------------------------------------------------------ */

static struct object *objects[THREADS][OBJECTS];

static void fill(unsigned number) {
  for (int i = 0; i < OBJECTS; i++)
    objects[number % THREADS][i] = object_new(BYTES, (unsigned char)i);
}

static void clear(unsigned number) {
  for (int i = 0; i < OBJECTS; i++) object_free(objects[number][i]);
}

static void left(void) {
  for (unsigned i = 0; i < 40; i++) {
    alone(fill, 0);
    clear(0);
  }
}

/* At first as many heaps as threads: each waits until all have one. */
static pthread_barrier_t all_have_begun;

static void fill_at_once(unsigned number) {
  object_free(object_new(BYTES, 1));
  pthread_barrier_wait(&all_have_begun);
  fill(number);
}

static void fill_all(unsigned number) {
  for (unsigned i = 0; i < THREADS; i++) fill(number + i);
}

static void inherited(void) {
  pthread_barrier_init(&all_have_begun, NULL, THREADS);
  at_once(fill_at_once, 0);
  for (unsigned i = 0; i < THREADS; i++) clear(i);
  alone(fill_all, 0);
  for (unsigned i = 0; i < THREADS; i++) clear(i);
}

/* ---- Misuse, and what only looks like it ----------------------------------------------------------------- */

static void *common;

static void make_common(unsigned number) { common = allocator->malloc(BYTES + number); }
static void free_common(unsigned number) {
  (void)number;
  allocator->free(common);
}

static void twice(void) {
  void *own = allocator->malloc(1); /* from now on this thread has a heap */
  alone(make_common, 0);
  void *block = common;
  printf("%p\n", block);
  fflush(stdout);
  alone(free_common, 0); /* by the heap's next thread */
  allocator->free(block); /* by one that has another heap */
  alone(fill, 0);
  allocator->free(own);
}

/* What lies in a live object looks as if it were free. */
static void alike(void) {
  static char kept[BYTES];
  void *own = allocator->malloc(1);
  alone(make_common, 0);
  void *first = common;
  alone(make_common, 0);
  alone(free_common, 0);
  memcpy(kept, common, BYTES); /* a faulty program's, to know the mark */
  memcpy(first, kept, BYTES);
  allocator->free(first);
  for (int i = 0; i < 3; i++) {
    alone(fill, 0);
    clear(0);
  }
  allocator->free(own);
}

static void shrunk(void) {
  for (unsigned number = 0; number < 300000; number += 777) {
    alone(make_common, number);
    memset(common, 5, BYTES + number);
    if (allocator->usable_size(common) < BYTES + number) fault("usable_size is too small");
    unsigned char *moved = allocator->realloc(common, BYTES / 2 + 3 * (size_t)number);
    if (moved == NULL || moved[0] != 5 || moved[BYTES / 2 - 1] != 5) fault("realloc lost it");
    allocator->free(moved);
  }
}

/* ---- The program --------------------------------------------------------------------------------------- */

static void print_stat(void *context, const char *name, double value) {
  (void)context;
  printf("%s %.17g\n", name, value);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*function)(void);
  } all[] = {{"around", around},       {"passed", passed}, {"left", left},
             {"inherited", inherited}, {"twice", twice},   {"shrunk", shrunk},
             {"alike", alike}};
  allocator = allocphase_plugin();
  if (argc != 2 || allocator->init(&(struct allocphase_config){0}) != 0) return 2;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(argv[1], all[i].name) == 0) all[i].function();
  check();
  allocator->stats(print_stat, NULL);
  allocator->fini();
  return 0;
}
