#include "conditions.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "system.h"
#include "text.h"

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
  int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t length = read(fd, status, sizeof status - 1);
  close(fd);
  status[length > 0 ? length : 0] = '\0';
  const char *at = strstr(status, "\nTracerPid:");
  if (!at) return 0;
  uint64_t pid = 0;
  for (at += strlen("\nTracerPid:"); *at == '\t' || *at == ' '; at++) continue;
  for (; *at >= '0' && *at <= '9'; at++) pid = pid * 10 + (uint64_t)(*at - '0');
  return pid;
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
