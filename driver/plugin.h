/* plugin.h: a plug-in, from its file to a table that can be called.
 *
 * The driver measures one, and liballocphase-malloc.so (preload/) makes one the malloc of a
 * program: both load it here, and say the same of one that cannot be used.
 */
#ifndef ALLOCPHASE_PLUGIN_H
#define ALLOCPHASE_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "allocphase.h"
#include "base/text.h"

struct plugin {
  struct allocphase_allocator table; /* as the plug-in gave it */
  size_t tls_module; /* of one with thread-local variables: the linker's number; else 0 */
};

/* Nothing is initialised yet. Returns false with the reason. */
bool plugin_load(struct plugin *plugin, const char *path, struct text *reason);

/* In each thread, before the plug-in is called there: of an object that was loaded at run
 * time, each thread gets its variables at first use, from the process's malloc. */
void plugin_prepare_thread(size_t tls_module);

/* What init's error means: "init refuses the setting key=value", "init failed: ...". */
void plugin_explain_init(const struct allocphase_config *config, int error, struct text *reason);

#endif
