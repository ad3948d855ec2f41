/* costly.c: an allocator with known costs before it, for testing what the harness shows of them.
 *
 *   behind         setting: the plug-in that serves the calls; none: the process's malloc
 *   spin_ns        setting: a loop before each call that hands out a block, by so much longer
 *   pollute_bytes  setting: before each call one word in each cache line of so much memory of the
 *                  thread's own is written
 *   purge_bytes    setting: each thread has so much memory resident, and gives it back when it
 *                  ends; the next one takes the page faults again
 *
 * The spin is a chain of shifts and xors between two fences, so that a processor that runs ahead
 * overlaps none of it with the calls beside it. Fences and ALWAYS turns are there in any case: two
 * settings differ in nothing but turns. How many last spin_ns is measured in init, by
 * CLOCK_MONOTONIC, and what they come to is told as a statistic, spin_ns; so is what the other
 * two cost by themselves: walk_ns a call, purge_ns a thread.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "allocphase.h"

enum { ALWAYS = 8, SHORT_CHAIN = 64, LONG_CHAIN = 512, TIMES = 200, READINGS = 15 };
enum { LINE = 64, PAGE = 4096 };

static struct allocphase_allocator behind;
static size_t turns = ALWAYS, pollute_bytes, purge_bytes;
static double spin_ns, walk_ns, purge_ns;
static _Thread_local volatile char *polluted, *purged;

/* ---- The costs ------------------------------------------------------------------------- */

static inline void fence(void) {
#if defined(__x86_64__)
  __asm__ volatile("lfence" ::: "memory");
#elif defined(__aarch64__)
  __asm__ volatile("dsb ishld\n\tisb" ::: "memory");
#endif
}

static inline void spin(size_t length) {
  size_t word = 1;
  fence();
  for (size_t turn = 0; turn < length; turn++) {
    word ^= word << 13;
    __asm__ volatile("" : "+r"(word));
  }
  fence();
}

static void walk(size_t bytes) {
  for (size_t at = 0; at < bytes; at += LINE) polluted[at]++;
}

static volatile char *take(size_t bytes) {
  volatile char *pages =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) abort();
  for (size_t at = 0; at < bytes; at += PAGE) pages[at] = 1;
  return pages;
}

static void give(volatile char *pages, size_t bytes) { munmap((void *)(uintptr_t)pages, bytes); }

static void take_and_give(size_t bytes) { give(take(bytes), bytes); }

/* ---- What they take --------------------------------------------------------------------- */

static double now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Of one call among `times`: the least of some readings, in which nobody else had the CPU. */
static double time_of(void (*cost)(size_t), size_t amount, int times) {
  double least_ns = 0;
  for (int i = 0; i < READINGS; i++) {
    double start_ns = now_ns();
    for (int call = 0; call < times; call++) cost(amount);
    double ns = (now_ns() - start_ns) / times;
    if (i == 0 || ns < least_ns) least_ns = ns;
  }
  return least_ns;
}

static void spin_for(size_t length) { spin(length); }

static double turn_ns(void) {
  double more_ns = time_of(spin_for, LONG_CHAIN, TIMES) - time_of(spin_for, SHORT_CHAIN, TIMES);
  return more_ns / (LONG_CHAIN - SHORT_CHAIN);
}

/* ---- What the driver calls ------------------------------------------------------------ */

static inline void pollute(void) {
  if (pollute_bytes > 0) walk(pollute_bytes);
}

static inline void toll(void) {
  pollute();
  spin(turns);
}

static void *costly_malloc(size_t size) {
  toll();
  return behind.malloc(size);
}

static void costly_free(void *block) {
  pollute();
  behind.free(block);
}

static void *costly_calloc(size_t count, size_t size) {
  toll();
  return behind.calloc(count, size);
}

static void *costly_realloc(void *block, size_t size) {
  toll();
  return behind.realloc(block, size);
}

static void *costly_aligned_alloc(size_t alignment, size_t size) {
  toll();
  return behind.aligned_alloc(alignment, size);
}

static void costly_thread_start(void) {
  if (pollute_bytes > 0) polluted = take(pollute_bytes);
  if (purge_bytes > 0) purged = take(purge_bytes);
  if (behind.thread_start) behind.thread_start();
}

static void costly_thread_stop(void) {
  if (behind.thread_stop) behind.thread_stop();
  if (pollute_bytes > 0) give(polluted, pollute_bytes);
  if (purge_bytes > 0) give(purged, purge_bytes);
}

static void costly_stats(allocphase_stat_sink *sink, void *context) {
  sink(context, "spin_ns", spin_ns);
  sink(context, "walk_ns", walk_ns);
  sink(context, "purge_ns", purge_ns);
}

/* ---- The allocator behind ---------------------------------------------------------------- */

typedef void *function;

static void take_process_malloc(void) {
  *(function *)&behind.malloc = dlsym(RTLD_DEFAULT, "malloc");
  *(function *)&behind.free = dlsym(RTLD_DEFAULT, "free");
  *(function *)&behind.calloc = dlsym(RTLD_DEFAULT, "calloc");
  *(function *)&behind.realloc = dlsym(RTLD_DEFAULT, "realloc");
  *(function *)&behind.aligned_alloc = dlsym(RTLD_DEFAULT, "aligned_alloc");
}

static int take_plugin(const char *path) {
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const struct allocphase_allocator *(*plugin)(void);
  if (!object) return ENOENT;
  *(function *)&plugin = dlsym(object, "allocphase_plugin");
  const struct allocphase_allocator *table = plugin ? plugin() : NULL;
  if (!table || table->abi_version != ALLOCPHASE_ABI_VERSION) return EINVAL;
  if (!table->calloc || !table->realloc || !table->aligned_alloc) return EINVAL;
  behind = *table;
  return behind.init(&(struct allocphase_config){0});
}

static void measure_costs(double asked_ns) {
  double each_ns = turn_ns();
  size_t more = (size_t)(asked_ns / each_ns + 0.5);
  turns = ALWAYS + more;
  spin_ns = (double)more * each_ns;
  if (pollute_bytes > 0) {
    polluted = take(pollute_bytes);
    walk_ns = time_of(walk, pollute_bytes, 10);
    give(polluted, pollute_bytes);
  }
  if (purge_bytes > 0) purge_ns = time_of(take_and_give, purge_bytes, 1);
}

static int costly_init(const struct allocphase_config *config) {
  double asked_ns = 0;
  int error = 0;
  take_process_malloc();
  for (size_t i = 0; i < config->count && !error; i++) {
    const char *key = config->settings[i].key, *value = config->settings[i].value;
    if (strcmp(key, "spin_ns") == 0) asked_ns = strtod(value, NULL);
    else if (strcmp(key, "pollute_bytes") == 0) pollute_bytes = strtoul(value, NULL, 10);
    else if (strcmp(key, "purge_bytes") == 0) purge_bytes = strtoul(value, NULL, 10);
    else if (strcmp(key, "behind") == 0) error = take_plugin(value);
    else error = EINVAL;
  }
  if (!error) measure_costs(asked_ns);
  return error;
}

static void costly_fini(void) {
  if (behind.fini) behind.fini();
}

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  static const struct allocphase_allocator table = {
      .abi_version = ALLOCPHASE_ABI_VERSION,
      .flags = ALLOCPHASE_THREAD_SAFE,
      .init = costly_init,
      .fini = costly_fini,
      .malloc = costly_malloc,
      .free = costly_free,
      .calloc = costly_calloc,
      .realloc = costly_realloc,
      .aligned_alloc = costly_aligned_alloc,
      .stats = costly_stats,
      .thread_start = costly_thread_start,
      .thread_stop = costly_thread_stop,
  };
  return &table;
}
