/* signals: takes signals, or the counting of system calls, for itself; each malloc makes
 * one system call, getppid.
 *
 *   blocked        its third malloc blocks every signal
 *   segv-handler   its third malloc installs a handler for SIGSEGV
 *   sys-handler    its third malloc installs a handler for SIGSYS
 *   sys-thread     a thread of its own takes the handler of SIGSYS away
 *   dispatch-off   its third malloc starts a thread, which opens the gate, and then
 *                  switches Syscall User Dispatch off */
#include "correct.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define SET_DISPATCH 59 /* PR_SET_SYSCALL_USER_DISPATCH */

static void on_signal(int number) { _exit(number); }

static void *take_handler_away(void *unused) {
  if (is("sys-thread")) signal(SIGSYS, SIG_DFL);
  return unused;
}

static void run_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, take_handler_away, NULL) != 0) abort();
  pthread_join(thread, NULL);
}

static void meddle(void) {
  sigset_t all;
  sigfillset(&all);
  if (is("blocked")) sigprocmask(SIG_SETMASK, &all, NULL);
  if (is("segv-handler")) signal(SIGSEGV, on_signal);
  if (is("sys-handler")) signal(SIGSYS, on_signal);
  if (is("sys-thread") || is("dispatch-off")) run_thread();
  if (is("dispatch-off")) prctl(SET_DISPATCH, 0, 0, 0, 0);
}

static void *faulty_malloc(size_t size) {
  if (mallocs == 2) meddle();
  syscall(SYS_getppid);
  return correct_malloc(size);
}

PLUGIN(.init = correct_init, .fini = correct_fini, .malloc = faulty_malloc, .free = correct_free)
