#include "probes/counter_group.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/system.h"
#include "base/text.h"

#define READ_MISSES(cache)                                                       \
  ((cache) | PERF_COUNT_HW_CACHE_OP_READ << 8 | PERF_COUNT_HW_CACHE_RESULT_MISS << 16)

static const struct counter hardware[MOST_COUNTERS] = {
    {"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
    {"cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
    {"branch_misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES},
    {"l1d_misses", PERF_TYPE_HW_CACHE, READ_MISSES(PERF_COUNT_HW_CACHE_L1D)},
    {"ll_misses", PERF_TYPE_HW_CACHE, READ_MISSES(PERF_COUNT_HW_CACHE_LL)},
    {"dtlb_misses", PERF_TYPE_HW_CACHE, READ_MISSES(PERF_COUNT_HW_CACHE_DTLB)},
};
static const struct counter of_the_kernel[] = {
    {"task_clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK},
    {"page_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS},
    {"minor_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN},
};

static int open_counter(const struct counter *counter, int leader) {
  struct perf_event_attr attributes = {
      .type = counter->type,
      .size = sizeof attributes,
      .config = counter->config,
      .read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID | PERF_FORMAT_TOTAL_TIME_ENABLED |
                     PERF_FORMAT_TOTAL_TIME_RUNNING,
      .disabled = leader < 0,
      .inherit = 1,
      .exclude_kernel = 1,
      .exclude_hv = 1,
  };
  return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, leader, PERF_FLAG_FD_CLOEXEC);
}

/* ---- Why not ----------------------------------------------------------------------- */

/* The kernel looks at the flags before it looks for rights, and a filter at neither. */
static bool reaches_the_kernel(void) {
  long found = syscall(SYS_perf_event_open, NULL, 0, -1, -1, ~0ul);
  return found == -1 && errno == EINVAL;
}

static bool is_filtered(void) {
  static char status[4096];
  read_text("/proc/self/status", status, sizeof status);
  return text_field(status, "\nSeccomp:") == 2; /* SECCOMP_MODE_FILTER */
}

static const char *error_name(int error) {
  switch (error) {
    case EACCES: return "EACCES";
    case EPERM: return "EPERM";
    case ENOSYS: return "ENOSYS";
    case ENOENT: return "ENOENT";
    case ENODEV: return "ENODEV";
    case EOPNOTSUPP: return "EOPNOTSUPP";
    default: return strerror(error);
  }
}

static bool is_of_no_pmu(int error) {
  return error == ENOENT || error == ENODEV || error == EOPNOTSUPP;
}

static void explain(struct text *text, int error) {
  if (!reaches_the_kernel() && (is_filtered() || error != ENOSYS))
    text_add(text, "perf_event_open is filtered by seccomp, as in a container");
  else if (error == ENOSYS) text_add(text, "this kernel has no perf_event_open");
  else if (is_of_no_pmu(error))
    text_add(text, "the processor's counters are not there, as on most virtual machines");
  else if (error == EACCES || error == EPERM) {
    char level[16];
    read_text("/proc/sys/kernel/perf_event_paranoid", level, sizeof level);
    text_add(text, "not permitted: kernel.perf_event_paranoid is ");
    text_add_number(text, text_number(level)); /* one below 0 permits all */
    text_add(text, ", and 2 would do");
  } else text_add(text, "perf_event_open");
  text_add(text, " (");
  text_add(text, error_name(error));
  text_add(text, ")");
}

/* ---- The group --------------------------------------------------------------------- */

/* EINVAL is of a group that is too large, and of an event that there is not. */
static bool is_counted_alone(const struct counter *counter) {
  int file = open_counter(counter, -1);
  if (file >= 0) close(file);
  return file >= 0;
}

static const char *left_out_because(int error, const struct counter *counter) {
  if (error == EINVAL && is_counted_alone(counter)) return "there are not as many counters";
  if (error == EINVAL || is_of_no_pmu(error)) return "this processor does not count them";
  return strerror(error);
}

const char *counter_group_open(struct counter_group *group, bool software) {
  static char why[200];
  *group = (struct counter_group){.counters = hardware, .count = MOST_COUNTERS};
  if (software) {
    group->counters = of_the_kernel;
    group->count = sizeof of_the_kernel / sizeof *of_the_kernel;
  }
  for (size_t i = 0; i < group->count; i++) {
    int leader = i == 0 ? -1 : group->files[0];
    group->files[i] = open_counter(&group->counters[i], leader);
    if (group->files[i] >= 0) {
      syscall(SYS_ioctl, group->files[i], PERF_EVENT_IOC_ID, &group->ids[i]);
      continue;
    }
    int error = errno;
    if (i == 0) {
      struct text text = text_in(why, sizeof why);
      explain(&text, error);
      return why;
    }
    group->left_out[i] = left_out_because(error, &group->counters[i]);
  }
  syscall(SYS_ioctl, group->files[0], PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP);
  return NULL;
}

size_t counter_group_read(const struct counter_group *group, uint64_t words[MOST_READING_WORDS]) {
  ssize_t bytes = read(group->files[0], words, MOST_READING_WORDS * sizeof *words);
  return bytes > 0 ? (size_t)bytes / sizeof *words : 0;
}
