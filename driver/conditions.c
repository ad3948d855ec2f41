#include "conditions.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/system.h"
#include "base/text.h"

#define MAX_LACKS 8

static struct {
  const char *_Atomic what;
  const char *why;
} lacks[MAX_LACKS];

void conditions_lack(const char *what, const char *why) {
  for (int i = 0; i < MAX_LACKS; i++) {
    const char *none = NULL;
    if (atomic_compare_exchange_strong(&lacks[i].what, &none, what)) {
      lacks[i].why = why;
      say(what, why);
      return;
    }
    if (strcmp(none, what) == 0) return; /* `none` is what was there */
  }
}

/* 0 without a tracer, or where the kernel does not say. */
static uint64_t tracer_pid(void) {
  static char status[4096];
  read_text("/proc/self/status", status, sizeof status);
  return text_field(status, "\nTracerPid:");
}

void conditions_report(struct json *json) {
  json_open_array(json, "lacks");
  for (int i = 0; i < MAX_LACKS && atomic_load(&lacks[i].what); i++) {
    char line[256];
    struct text text = text_in(line, sizeof line);
    text_add(&text, lacks[i].what);
    text_add(&text, ": ");
    text_add(&text, lacks[i].why);
    json_string(json, NULL, line);
  }
  json_close_array(json);
  json_integer(json, "tracer_pid", tracer_pid());
}
