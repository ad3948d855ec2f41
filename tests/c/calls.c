/* calls: makes a known number of system calls, and says known things of itself.
 *
 *   init       one mmap (the arena), `init_getppids` getppid
 *   malloc     `mmaps` mmap
 *   free       `getpids` getpid
 *   fini       one munmap, `fini_getuids` getuid
 *
 * It has no calloc, realloc or aligned_alloc. */
#include "arena.h"

#include <math.h>
#include <sched.h>
#include <sys/syscall.h>

static long mmaps, getpids, fini_getuids;
static unsigned long cpus; /* that called malloc, a bit each */
static unsigned long mallocs;

static void repeat(long times, long number) {
  for (long i = 0; i < times; i++) syscall(number);
}

static int calls_init(const struct allocphase_config *config) {
  mmaps = number_of(config, "mmaps");
  getpids = number_of(config, "getpids");
  fini_getuids = number_of(config, "fini_getuids");
  repeat(number_of(config, "init_getppids"), SYS_getppid);
  return arena_init(config);
}

static void calls_fini(void) {
  repeat(fini_getuids, SYS_getuid);
  arena_fini();
}

static void *calls_malloc(size_t size) {
  cpus |= 1ul << sched_getcpu();
  mallocs++;
  for (long i = 0; i < mmaps; i++)
    if (os_map(1) == NULL) return NULL;
  return arena_malloc(size);
}

static void calls_free(void *block) {
  (void)block;
  repeat(getpids, SYS_getpid);
}

static void calls_stats(allocphase_stat_sink *sink, void *context) {
  syscall(SYS_getgid); /* after operation: in nobody's count */
  sink(context, "used_bytes", 12345678);
  sink(context, "share", -0.125);
  sink(context, "endless", INFINITY);
  sink(context, "cpus", (double)cpus);
  sink(context, "mallocs", (double)mallocs);
  sink(context, "a \"quoted\"\tname", 0);
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = calls_init,
    .fini = calls_fini,
    .malloc = calls_malloc,
    .free = calls_free,
    .stats = calls_stats,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
