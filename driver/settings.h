/* settings.h: how an allocator reads its configuration, strictly.
 *
 * An allocator lists what it accepts; each variable holds its default before:
 *
 *     static size_t pool_bytes = 16777216;
 *     static const struct setting settings[] = {
 *         {"pool_bytes", .whole = &pool_bytes, .least = 4096, .most = 4294967296},
 *     };
 *     int error = settings_read(config, settings, sizeof settings / sizeof *settings);
 *
 * A key that is not listed, a value that is no plain decimal number and one out
 * of range are all EINVAL: a misspelt setting must not measure the default.
 */
#ifndef ALLOCPHASE_SETTINGS_H
#define ALLOCPHASE_SETTINGS_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "allocphase.h"

struct setting {
  const char *key;
  size_t *whole; /* one of these two receives the value */
  double *real;
  double least; /* both bounds are accepted; whole ones below 2^53 */
  double most;
};

/* Only digits: strtoull would take spaces, signs and wrap "-1" to a huge size. */
static inline int setting_read_whole(const struct setting *setting, const char *text) {
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || text[digits] != '\0') return EINVAL;
  unsigned long long value = strtoull(text, NULL, 10); /* too large a number: ULLONG_MAX */
  if ((double)value < setting->least || (double)value > setting->most) return EINVAL;
  *setting->whole = (size_t)value;
  return 0;
}

/* No spaces, no hexadecimal, no "nan": strtod would take them. */
static inline int setting_read_real(const struct setting *setting, const char *text) {
  if (text[0] < '0' || text[0] > '9' || text[strspn(text, "0123456789.eE+-")] != '\0')
    return EINVAL;
  char *end = NULL;
  double value = strtod(text, &end);
  if (*end != '\0' || !(value >= setting->least && value <= setting->most)) return EINVAL;
  *setting->real = value;
  return 0;
}

static inline int setting_read(const struct setting *setting, const char *text) {
  return setting->whole ? setting_read_whole(setting, text) : setting_read_real(setting, text);
}

static inline const struct setting *settings_find(const struct setting *list, size_t count,
                                                  const char *key) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(list[i].key, key) == 0) return &list[i];
  return NULL;
}

/* Returns 0 or EINVAL. A setting that is not given keeps its default. */
static inline int settings_read(const struct allocphase_config *config,
                                const struct setting *list, size_t count) {
  for (size_t i = 0; i < config->count; i++) {
    const struct setting *setting = settings_find(list, count, config->settings[i].key);
    if (setting == NULL) return EINVAL;
    int error = setting_read(setting, config->settings[i].value);
    if (error != 0) return error;
  }
  return 0;
}

#endif
