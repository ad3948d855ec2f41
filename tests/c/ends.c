/* ends: its third malloc or free (`in`) ends the process in the `way` that is asked for. */
#include "arena.h"

#include <signal.h>
#include <stdio.h>

static const char *way, *place, *pid_file;
static long mallocs, frees;

static int ends_init(const struct allocphase_config *config) {
  way = text_of(config, "way");
  place = text_of(config, "in");
  pid_file = text_of(config, "pid_file");
  return arena_init(config);
}

/* With a child of its own, which must not outlive the measurement. */
static void hang(void) {
  pid_t child = fork();
  if (child == 0)
    for (;;) pause();
  FILE *file = fopen(pid_file, "w");
  if (!file) abort();
  fprintf(file, "%d %d\n", (int)getpid(), (int)child);
  fclose(file);
  for (;;) pause();
}

static void end(void) {
  if (strcmp(way, "segv") == 0) raise(SIGSEGV);
  if (strcmp(way, "abort") == 0) {
    fputs("arena: header is damaged\n", stderr);
    abort();
  }
  if (strcmp(way, "hang") == 0) hang();
  if (strcmp(way, "exit") == 0) exit(0);
}

static void *ends_malloc(size_t size) {
  if (strcmp(place, "malloc") == 0 && ++mallocs == 3) {
    end();
    if (strcmp(way, "null") == 0) return NULL;
  }
  return arena_malloc(size);
}

static void ends_free(void *block) {
  (void)block;
  if (strcmp(place, "free") == 0 && ++frees == 3) end();
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = ends_init,
    .fini = arena_fini,
    .malloc = ends_malloc,
    .free = ends_free,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
