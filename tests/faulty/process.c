/* process: its third malloc changes what belongs to the process: the CPUs it may use, its
 * priority (higher as root, lower for others), its limits (soft, or so hard that no
 * file can be opened), its locale, its working directory, its umask, how floating-point
 * numbers are rounded, its personality, a timer, its environment (what it starts gets another
 * preload); it puts a filter before its system calls that lets all of them pass. */
#include "correct.h"

#include <fenv.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <locale.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

static void limit_files(rlim_t soft, rlim_t hard) {
  struct rlimit limit = {soft, hard};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) abort();
}

static void filter_calls(void) {
  struct sock_filter pass = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog filter = {1, &pass};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) abort();
}

static void start_timer(void) {
  struct itimerval in_an_hour = {{0, 0}, {3600, 0}};
  if (setitimer(ITIMER_REAL, &in_an_hour, NULL) != 0) abort();
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
  if (is("rounding") && fesetround(FE_UPWARD) != 0) abort();
  if (is("personality") && personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC) == -1) abort();
  if (is("timer")) start_timer();
  if (is("environment") && setenv("LD_PRELOAD", "./own.so", 1) != 0) abort();
  if (is("filter")) filter_calls();
}

static void *faulty_malloc(size_t size) {
  if (mallocs == 2) change();
  return correct_malloc(size);
}

PLUGIN(.init = correct_init, .fini = correct_fini, .malloc = faulty_malloc, .free = correct_free)
