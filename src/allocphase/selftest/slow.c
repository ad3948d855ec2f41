/* slow.c: another allocator behind a toll, for testing the gate on a known slowdown.
 *
 * Every call passes to the allocator behind. On every PERIOD-th call of a thread the toll is
 * due: `iterations` more turns of a loop. The fences on both sides make a processor that runs ahead
 * wait for them, so that the loop's time is added to the call's instead of hiding behind it.
 * ALWAYS turns are made in any case: a loop of some turns ends with a branch that is predicted
 * wrongly, a loop of none does not, and two settings shall differ in nothing but turns.
 *
 *   ALLOCPHASE_SLOW_PLUGIN    environment: the plug-in behind
 *   ALLOCPHASE_SLOW_PROVIDER  environment: else, the object that malloc must come from
 *   iterations                setting: further turns of the loop at each toll
 *   map_every                 setting: one extra mmap and munmap every so many calls; 0: none
 *   spared                    setting: by the clock, one process in so many makes none; 0: all do
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "allocphase.h"

enum { PERIOD = 64, ALWAYS = 100, PAGE = 4096 };

static struct allocphase_allocator behind;
static unsigned long iterations, map_every, spared;

/* ---- The toll ---------------------------------------------------------------------- */

static _Thread_local unsigned long calls;

static inline void fence(void) {
#if defined(__x86_64__)
  __asm__ volatile("lfence" ::: "memory");
#elif defined(__aarch64__)
  __asm__ volatile("dsb sy\n\tisb" ::: "memory");
#endif
}

static void pay(void) {
  fence();
  for (unsigned long turn = 0; turn < ALWAYS + iterations; turn++) __asm__ volatile("" : "+r"(turn));
  fence();
}

static void map_a_page(void) {
  void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page != MAP_FAILED) munmap(page, PAGE);
}

static inline void toll(void) {
  calls++;
  if (calls % PERIOD == 0) pay();
  if (map_every && calls % map_every == 0) map_a_page();
}

/* ---- What the driver calls ------------------------------------------------------------ */

static void *slow_malloc(size_t size) {
  toll();
  return behind.malloc(size);
}

static void slow_free(void *block) {
  toll();
  behind.free(block);
}

static void *slow_calloc(size_t count, size_t size) {
  toll();
  return behind.calloc(count, size);
}

static void *slow_realloc(void *block, size_t size) {
  toll();
  return behind.realloc(block, size);
}

static void *slow_aligned_alloc(size_t alignment, size_t size) {
  toll();
  return behind.aligned_alloc(alignment, size);
}

static void *slow_malloc_tagged(size_t size, const struct allocphase_tag *tag) {
  toll();
  return behind.malloc_tagged(size, tag);
}

static int slow_free_tagged(void *block, const struct allocphase_tag *tag) {
  toll();
  return behind.free_tagged(block, tag);
}

/* ---- The allocator behind ---------------------------------------------------------------- */

typedef void *function;

static int same_file(const char *left, const char *right) {
  struct stat a, b;
  return stat(left, &a) == 0 && stat(right, &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

/* The process's own malloc; a preload that ld.so ignored must not pass for it. */
static int take_process_malloc(void) {
  const char *provider = getenv("ALLOCPHASE_SLOW_PROVIDER");
  behind.abi_version = ALLOCPHASE_ABI_VERSION;
  behind.flags = ALLOCPHASE_THREAD_SAFE;
  *(function *)&behind.malloc = dlsym(RTLD_DEFAULT, "malloc");
  *(function *)&behind.free = dlsym(RTLD_DEFAULT, "free");
  *(function *)&behind.calloc = dlsym(RTLD_DEFAULT, "calloc");
  *(function *)&behind.realloc = dlsym(RTLD_DEFAULT, "realloc");
  *(function *)&behind.aligned_alloc = dlsym(RTLD_DEFAULT, "aligned_alloc");
  Dl_info info;
  if (!dladdr(*(function *)&behind.malloc, &info)) return 0;
  return !provider || same_file(info.dli_fname, provider);
}

static int take_plugin(const char *path) {
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const struct allocphase_allocator *(*plugin)(void);
  if (!object) return 0;
  *(function *)&plugin = dlsym(object, "allocphase_plugin");
  const struct allocphase_allocator *table = plugin ? plugin() : NULL;
  if (!table || table->abi_version != ALLOCPHASE_ABI_VERSION) return 0;
  behind = *table;
  return 1;
}

/* A number below `limit` that differs from process to process. */
static unsigned long by_the_clock(unsigned long limit) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (unsigned long)now.tv_nsec / 64 % limit; /* the last digits may stand still */
}

/* Takes the settings of this file out; the rest belongs to the allocator behind. */
static int slow_init(const struct allocphase_config *config) {
  static struct allocphase_setting rest[64];
  struct allocphase_config passed = {rest, 0};
  for (size_t i = 0; i < config->count; i++) {
    const struct allocphase_setting *setting = &config->settings[i];
    if (strcmp(setting->key, "iterations") == 0)
      iterations = strtoul(setting->value, NULL, 10);
    else if (strcmp(setting->key, "map_every") == 0)
      map_every = strtoul(setting->value, NULL, 10);
    else if (strcmp(setting->key, "spared") == 0)
      spared = strtoul(setting->value, NULL, 10);
    else if (passed.count < 64)
      rest[passed.count++] = *setting;
    else
      return EINVAL;
  }
  if (spared && by_the_clock(spared) == 0) map_every = 0;
  if (behind.init) return behind.init(&passed);
  return passed.count ? EINVAL : 0;
}

static void slow_fini(void) {
  if (behind.fini) behind.fini();
}

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  static struct allocphase_allocator table;
  const char *path = getenv("ALLOCPHASE_SLOW_PLUGIN");
  if (!(path ? take_plugin(path) : take_process_malloc())) return NULL;
  table = behind;
  table.init = slow_init;
  table.fini = slow_fini;
  table.malloc = slow_malloc;
  table.free = slow_free;
  if (behind.calloc) table.calloc = slow_calloc;
  if (behind.realloc) table.realloc = slow_realloc;
  if (behind.aligned_alloc) table.aligned_alloc = slow_aligned_alloc;
  if (behind.malloc_tagged) table.malloc_tagged = slow_malloc_tagged;
  if (behind.free_tagged) table.free_tagged = slow_free_tagged;
  return &table;
}
