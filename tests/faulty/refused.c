/* refused: with -DABI built for another version of the interface, with -DUNRESOLVED in
 * want of a function that no object has. */
#include "correct.h"

#ifdef UNRESOLVED
void nowhere_defined(void *block);
#define FREE nowhere_defined
#else
#define FREE correct_free
#endif

static const struct allocphase_allocator table = {
#ifdef ABI
    .abi_version = ALLOCPHASE_ABI_VERSION + 1,
#else
    .abi_version = ALLOCPHASE_ABI_VERSION,
#endif
    .init = correct_init,
    .fini = correct_fini,
    .malloc = correct_malloc,
    .free = FREE,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}
