/* process: its third malloc changes what belongs to the process: the CPUs it may use, its
 * priority (higher as root, lower for others), its limits (soft, or so hard that no
 * file can be opened), its locale, its working directory, its umask. */
#include "correct.h"

#include <locale.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void limit_files(rlim_t soft, rlim_t hard) {
  struct rlimit limit = {soft, hard};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) abort();
}

static void change(void) {
  cpu_set_t all;
  memset(&all, 0xff, sizeof all);
  if (is("affinity") && sched_setaffinity(0, sizeof all, &all) != 0) abort();
  if (is("priority") && setpriority(PRIO_PROCESS, 0, -5) != 0) setpriority(PRIO_PROCESS, 0, 5);
  if (is("limits")) limit_files(64, 64);
  if (is("no-files")) limit_files(0, 0);
  if (is("locale") && !setlocale(LC_ALL, "C.UTF-8")) abort();
  if (is("folder") && chdir("/") != 0) abort();
  if (is("umask")) umask(0777);
}

static void *faulty_malloc(size_t size) {
  if (mallocs == 2) change();
  return correct_malloc(size);
}

PLUGIN(.init = correct_init, .fini = correct_fini, .malloc = faulty_malloc, .free = correct_free)
