/* initialise.h: hands the settings of a command line to an allocator's init. */
#ifndef INITIALISE_H
#define INITIALISE_H

#include <errno.h>
#include <string.h>

#include "allocphase.h"

#define MOST_SETTINGS 16

/* `arguments` are key=value. Returns 0 or an errno value: init's own, EINVAL for one that
 * is no setting, E2BIG for too many. */
static int initialise(const struct allocphase_allocator *allocator, int count, char **arguments) {
  struct allocphase_setting settings[MOST_SETTINGS];
  if (count > MOST_SETTINGS) return E2BIG;
  for (int i = 0; i < count; i++) {
    char *equals = strchr(arguments[i], '=');
    if (equals == NULL) return EINVAL;
    *equals = '\0';
    settings[i] = (struct allocphase_setting){.key = arguments[i], .value = equals + 1};
  }
  return allocator->init(&(struct allocphase_config){.settings = settings, .count = (size_t)count});
}

#endif
