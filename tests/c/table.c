/* table: tables that the driver must refuse, one for each define. */
#include "arena.h"

#ifndef ABI
#define ABI ALLOCPHASE_ABI_VERSION
#endif
#ifndef MALLOC
#define MALLOC arena_malloc
#endif
#ifndef INIT
#define INIT 0
#endif

#ifdef UNRESOLVED
void nowhere_defined(void);
#define INIT_BODY nowhere_defined()
#else
#define INIT_BODY (void)0
#endif

static int table_init(const struct allocphase_config *config) {
  INIT_BODY;
  int error = arena_init(config);
  return error ? error : INIT;
}

static const struct allocphase_allocator table = {
    .abi_version = ABI,
    .init = table_init,
    .fini = arena_fini,
    .malloc = MALLOC,
    .free = arena_free,
};

EXPORT const struct allocphase_allocator *allocphase_plugin(void) {
#ifdef NO_TABLE
  (void)table;
  return NULL;
#else
  return &table;
#endif
}
