/* preload: libraries for LD_PRELOAD. As it stands it has no malloc, and is of no use;
 * with -DCRASH it crashes before main; with -DHANGS it waits there for ever; with -DUNRESOLVED it wants a variable that no
 * object has, so that nothing starts. */
int preload_nothing;

#ifdef CRASH
__attribute__((constructor)) static void loaded(void) { __builtin_trap(); }
#endif

#ifdef HANGS
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) {
  for (;;) pause();
}
#endif

#ifdef UNRESOLVED
extern int nowhere_defined;
int *preload_wants = &nowhere_defined;
#endif
