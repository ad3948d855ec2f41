#include "probes/resident.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/system.h"
#include "base/text.h"

#define ROLLUP "/proc/self/smaps_rollup"
#define STATM "/proc/self/statm"
#define STATUS "/proc/self/status"
#define CLEAR_REFS "/proc/self/clear_refs"
#define RESET_PEAK "5" /* man 5 proc_pid_clear_refs */
#define TEXT_BYTES 8192

static bool exact; /* there is a smaps_rollup */

static void read_or_die(const char *path, char *text) {
  if (!read_text(path, text, TEXT_BYTES)) die(EXIT_TOOL, path, "cannot be read");
}

/* "Anonymous:    12 kB" -> 12288; 0 where the kernel has no such line. */
static uint64_t kilobytes(const char *text, const char *key) {
  return text_field(text, key) * 1024;
}

/* Of "size resident shared text lib data dt", in pages. */
static uint64_t statm_field(const char *text, int field) {
  while (field-- > 0)
    while (*text && *text++ != ' ') continue;
  return text_number(text) * (uint64_t)sysconf(_SC_PAGESIZE);
}

bool resident_prepare(void) {
  int rollup = open(ROLLUP, O_RDONLY | O_CLOEXEC);
  exact = rollup >= 0;
  if (exact) close(rollup);
  return exact;
}

uint64_t resident_mapped_bytes(void) {
  char text[TEXT_BYTES];
  read_or_die(STATM, text);
  return statm_field(text, 5);
}

struct footprint resident_read(void) {
  char text[TEXT_BYTES];
  struct footprint now = {0};
  read_or_die(STATM, text);
  now.mapped_bytes = statm_field(text, 5);
  now.rss_bytes = statm_field(text, 1);
  if (!exact) return now;
  read_or_die(ROLLUP, text);
  now.rss_bytes = kilobytes(text, "\nAnonymous:") + kilobytes(text, "\nPss_Shmem:");
  now.lazy_bytes = kilobytes(text, "\nLazyFree:");
  return now;
}

bool resident_mark_reset(void) {
  int fd = open(CLEAR_REFS, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool done = write(fd, RESET_PEAK, 1) == 1;
  close(fd);
  return done;
}

struct mark resident_mark(void) {
  char text[TEXT_BYTES];
  read_or_die(STATUS, text);
  return (struct mark){kilobytes(text, "\nVmHWM:"), kilobytes(text, "\nRssFile:")};
}

/* As the linker names the bounds of every program. */
extern const char __executable_start[], etext[];

void resident_touch_own_code(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  volatile char byte;
  for (const char *at = __executable_start; at < etext; at += page) byte = *at;
  (void)byte;
}
