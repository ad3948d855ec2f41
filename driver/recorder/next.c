#include "recorder/next.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

struct next next;

void *next_operator(const char *name) { return dlsym(RTLD_NEXT, name); }

/* The object stays: whoever calls is in it. */
void *next_operator_of(const void *address, const char *name) {
  Dl_info info;
  struct link_map *map;
  if (!dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP)) return NULL;
  void *object = dlopen(map->l_name[0] != '\0' ? map->l_name : NULL, RTLD_LAZY | RTLD_NOLOAD);
  void *found = object == NULL ? NULL : dlsym(object, name);
  if (object != NULL) dlclose(object);
  return found;
}

#define FIND_AS(name, symbol) (*(void **)(void *)&next.name = dlsym(RTLD_NEXT, symbol))
#define FIND(name) FIND_AS(name, #name)

/* Not while the linker is about to change its list of objects: it must not be entered again. */
static bool can_ask(void) { return environ != NULL && _r_debug.r_state == RT_CONSISTENT; }

bool next_find(void) {
  static bool begun;
  if (__atomic_load_n(&next.ready, __ATOMIC_ACQUIRE)) return true;
  if (!can_ask() || __atomic_exchange_n(&begun, true, __ATOMIC_ACQ_REL)) return false;
  FIND(malloc);
  FIND(free);
  FIND(calloc);
  FIND(realloc);
  FIND(reallocarray);
  FIND(posix_memalign);
  FIND(aligned_alloc);
  FIND(memalign);
  FIND(valloc);
  FIND(pvalloc);
  FIND(malloc_usable_size);
  FIND(cfree);
  FIND(free_sized);
  FIND(free_aligned_sized);
  FIND_AS(touched_bytes, "allocphase_touched_bytes");
  FIND_AS(touched_all, "allocphase_touched_all");
  FIND(pthread_create);
  FIND(pthread_join);
  FIND(pthread_tryjoin_np);
  FIND(pthread_timedjoin_np);
  FIND(pthread_clockjoin_np);
  __atomic_store_n(&next.ready, true, __ATOMIC_RELEASE);
  return true;
}
