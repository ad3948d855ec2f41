#include "plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

static bool refuse(struct text *reason, const char *what, const char *detail) {
  text_add(reason, what);
  text_add(reason, detail);
  return false;
}

bool plugin_load(struct plugin *plugin, const char *path, struct text *reason) {
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!object) return refuse(reason, "cannot be loaded: ", dlerror());
  const struct allocphase_allocator *(*function)(void);
  *(void **)&function = dlsym(object, "allocphase_plugin");
  if (!function) return refuse(reason, path, " exports no allocphase_plugin: not a plug-in");
  const struct allocphase_allocator *given = function();
  if (!given) return refuse(reason, path, ": allocphase_plugin returned NULL");
  if (given->abi_version != ALLOCPHASE_ABI_VERSION)
    return refuse(reason, path,
                  " is built for another ABI version: compile it against this allocphase.h");
  if (!given->init || !given->fini || !given->malloc || !given->free)
    return refuse(reason, path, " lacks init, fini, malloc or free");
  *plugin = (struct plugin){.table = *given};
  dlinfo(object, RTLD_DI_TLS_MODID, &plugin->tls_module);
  return true;
}

/* The linker's, for who has no header of its own: see the ELF TLS ABI. */
struct tls_index {
  unsigned long module;
  unsigned long offset;
};
void *__tls_get_addr(struct tls_index *index);

void plugin_prepare_thread(size_t tls_module) {
  if (tls_module) __tls_get_addr(&(struct tls_index){tls_module, 0});
}

void plugin_explain_init(const struct allocphase_config *config, int error, struct text *reason) {
  if (error != EINVAL || config->count == 0) {
    refuse(reason, "init failed: ", strerror(error));
    return;
  }
  /* Which one of several it is, only the allocator knows. */
  text_add(reason, config->count == 1 ? "init refuses the setting " : "init refuses one of ");
  for (size_t i = 0; i < config->count; i++) {
    text_add(reason, i ? ", " : "");
    text_add(reason, config->settings[i].key);
    text_add(reason, "=");
    text_add(reason, config->settings[i].value);
  }
}
