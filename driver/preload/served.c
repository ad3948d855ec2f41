#include "preload/served.h"

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/text.h"
#include "plugin.h"
#include "preload/bootstrap.h"

#define MOST_SETTINGS 64
#define SETTINGS_BYTES 4096

struct served served;
_Thread_local struct caller caller __attribute__((tls_model("initial-exec"))) = {.place = NEW};

static bool ready; /* loaded, initialised; never false again */
static char path[PATH_MAX]; /* of the plug-in; a program may write over its environment */
static size_t tls_module;
static pthread_key_t rounds_key; /* of a plug-in with thread_start or thread_stop */

const char *served_path(void) { return path; }

void served_give_up(const char *what, const char *detail) {
  const char *texts[] = {"liballocphase-malloc: ", what, detail, "\n"};
  struct iovec parts[4];
  for (int i = 0; i < 4; i++)
    parts[i] = (struct iovec){.iov_base = (void *)(uintptr_t)texts[i], .iov_len = strlen(texts[i])};
  if (writev(STDERR_FILENO, parts, 4) < 0) _exit(127); /* nowhere left to complain */
  _exit(127);
}

/* ---- Threads --------------------------------------------------------------------------- */

static void call(void (*function)(void)) {
  if (function == NULL) return;
  if (served.locked) lock_take(&served.lock);
  function();
  if (served.locked) lock_drop(&served.lock);
}

/* Other destructors of the thread may still free. Those of the same round that come later
 * find it PARTED. */
static void end_round(void *value) {
  uintptr_t round = (uintptr_t)value;
  if (round < PTHREAD_DESTRUCTOR_ITERATIONS) {
    pthread_setspecific(rounds_key, (void *)(round + 1));
    return;
  }
  caller.place = INSIDE;
  call(served.table.thread_stop);
  caller.place = PARTED;
}

/* What pthread_setspecific and the linker ask for is the bootstrap's: the place is INSIDE. */
static void begin_thread(void) {
  caller.error = &errno;
  plugin_prepare_thread(tls_module);
  if (served.table.thread_stop != NULL) pthread_setspecific(rounds_key, (void *)1);
  call(served.table.thread_start);
}

static bool is_ready(void);

bool served_enter_slowly(void) {
  if (caller.place == INSIDE || caller.place == INSIDE_PARTED) return false;
  int error = errno;
  bool ready_now = is_ready();
  if (ready_now && caller.place == PARTED) {
    caller.place = INSIDE_PARTED;
    call(served.table.thread_start);
  } else if (ready_now) {
    caller.place = INSIDE;
    begin_thread();
  }
  errno = error;
  return ready_now;
}

void served_leave_slowly(void) {
  int error = errno;
  call(served.table.thread_stop);
  caller.place = PARTED;
  errno = error;
}

/* ---- Fork ------------------------------------------------------------------------------ */

/* The child has the one thread that forked. It must find the plug-in between two calls: so
 * that thread holds the lock. Who forks from a signal handler, within a call, has it already. */
static void before_fork(void) {
  bool is_inside = caller.place == INSIDE || caller.place == INSIDE_PARTED;
  caller.forks_with_lock = served.locked && !is_inside;
  if (caller.forks_with_lock) lock_take(&served.lock);
  bootstrap_before_fork();
}

static void after_fork(void) {
  bootstrap_after_fork();
  if (caller.forks_with_lock) lock_drop(&served.lock);
}

/* ---- Start ------------------------------------------------------------------------------ */

/* "key=value&key=value" into `settings`, which live as long as the process. */
static size_t settings_split(const char *given, struct allocphase_setting *settings) {
  static char text[SETTINGS_BYTES];
  size_t count = 0, length = strlen(given);
  if (length >= sizeof text) served_give_up("ALLOCPHASE_PLUGIN_SETTINGS is too long", "");
  memcpy(text, given, length + 1);
  for (char *at = text, *end; *at != '\0'; at = end) {
    end = at + strcspn(at, "&");
    if (*end == '&') *end++ = '\0';
    char *equals = strchr(at, '=');
    if (equals == NULL || equals == at)
      served_give_up("ALLOCPHASE_PLUGIN_SETTINGS: not key=value: ", at);
    if (count == MOST_SETTINGS) served_give_up("ALLOCPHASE_PLUGIN_SETTINGS: too many", "");
    *equals = '\0';
    settings[count++] = (struct allocphase_setting){.key = at, .value = equals + 1};
  }
  return count;
}

static void read_path(const char *given) {
  if (given == NULL) served_give_up("ALLOCPHASE_PLUGIN is not set: the path of a plug-in", "");
  if (given[0] != '/') served_give_up("ALLOCPHASE_PLUGIN is not an absolute path: ", given);
  if (strlen(given) >= sizeof path) served_give_up("ALLOCPHASE_PLUGIN is too long", "");
  strcpy(path, given);
}

static void initialise(const char *given, struct text *reason) {
  static struct allocphase_setting settings[MOST_SETTINGS];
  struct allocphase_config config = {settings, given == NULL ? 0 : settings_split(given, settings)};
  int error = served.table.init(&config);
  if (error == 0) return;
  text_add(reason, ": ");
  plugin_explain_init(&config, error, reason);
  served_give_up(path, reason->chars);
}

static void start(void) {
  static char message[1024];
  struct text reason = text_in(message, sizeof message);
  struct plugin plugin;
  read_path(getenv("ALLOCPHASE_PLUGIN"));
  if (!plugin_load(&plugin, path, &reason)) served_give_up(reason.chars, "");
  served.table = plugin.table;
  served.locked = (plugin.table.flags & ALLOCPHASE_THREAD_SAFE) == 0;
  tls_module = plugin.tls_module;
  served.framed = plugin.table.usable_size == NULL || plugin.table.aligned_alloc == NULL;
  initialise(getenv("ALLOCPHASE_PLUGIN_SETTINGS"), &reason);
  if (served.table.thread_stop != NULL && pthread_key_create(&rounds_key, end_round) != 0)
    served_give_up("no key for a thread's end", "");
  if (pthread_atfork(before_fork, after_fork, after_fork) != 0)
    served_give_up("no handlers for fork", "");
}

/* Not before libc's own constructor, which sets `environ`; and not while the linker is about to
 * change its list of objects, since it must not be entered again then. */
static bool may_start(void) { return environ != NULL && _r_debug.r_state == RT_CONSISTENT; }

/* By the first call, mostly that of some library's constructor. What is asked for meanwhile, by
 * dlopen or by another thread, is the bootstrap's. */
static bool is_ready(void) {
  static bool begun;
  if (__atomic_load_n(&ready, __ATOMIC_ACQUIRE)) return true;
  if (!may_start() || __atomic_exchange_n(&begun, true, __ATOMIC_ACQ_REL)) return false;
  caller.place = INSIDE;
  start();
  caller.place = NEW;
  __atomic_store_n(&ready, true, __ATOMIC_RELEASE);
  return true;
}

/* Before main, also in a program that never asks: a plug-in that cannot serve is not found out
 * in the middle of its work. */
__attribute__((constructor)) static void start_before_main(void) { is_ready(); }
