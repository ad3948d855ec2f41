#include "session.h"

#include <pthread.h>
#include <unistd.h>

#include "base/system.h"
#include "base/text.h"
#include "progress.h"

const char *session_path(const struct session *session, const char *name) {
  static char path[4096];
  struct text text = text_in(path, sizeof path);
  text_add(&text, session->options.out_folder);
  text_add(&text, "/");
  text_add(&text, name);
  if (text.length + 1 == sizeof path) die(EXIT_USAGE, "--out", "path is too long");
  return path;
}

/* ---- Endings ----------------------------------------------------------------- */

void session_end_early(struct session *session, const char *status, const char *message) {
  static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&once); /* never unlocked: the first thread to fail is the one to tell */
  struct json json;
  json_start(&json);
  json_integer(&json, "driver", DRIVER_VERSION);
  json_string(&json, "status", status);
  json_string(&json, "message", message);
  json_finish(&json, session_path(session, "result.json"));
  if (!session->options.aloud) _exit(EXIT_MEASURED);
  say(status, message);
  _exit(EXIT_FAILED);
}

_Noreturn static void fail(struct worker *worker, uint64_t op, const char *status,
                           const char *what, const char *when) {
  char line[512];
  const struct trace_op *at = &worker->ops[op];
  struct text text = text_in(line, sizeof line);
  progress_fail(worker, at);
  text_add(&text, what);
  text_add(&text, when);
  text_add(&text, "operation ");
  text_add_number(&text, op);
  text_add(&text, " of thread ");
  text_add_number(&text, worker->thread);
  text_add(&text, " (");
  text_add(&text, trace_kind_names[at->kind]);
  text_add(&text, ", ");
  text_add_number(&text, at->size);
  text_add(&text, at->kind == TRACE_WRITE ? " times, slot " : " bytes, slot ");
  text_add_number(&text, at->slot);
  text_add(&text, ")");
  if (worker->session->replay > 1) {
    text_add(&text, " in replay ");
    text_add_number(&text, worker->session->replay);
  }
  session_end_early(worker->session, status, line);
}

void session_fail(struct worker *worker, uint64_t op, const char *status, const char *what) {
  fail(worker, op, status, what, " at ");
}

void session_fail_after(struct worker *worker, uint64_t op, const char *status,
                        const char *what) {
  fail(worker, op, status, what, " after ");
}

/* ---- Around the probe ---------------------------------------------------------- */

static void enter(struct session *session, enum session_part part, const struct worker *worker) {
  if (session->enter) session->enter(session, part, worker);
}

static void leave(struct session *session, enum session_part part, const struct worker *worker) {
  if (session->leave) session->leave(session, part, worker);
}

void session_start(struct session *session) {
  struct refusal refusal;
  progress_to(PROGRESS_INIT);
  enter(session, PART_INIT, NULL);
  bool ready = subject_init(&session->subject, &session->options, &refusal);
  leave(session, PART_INIT, NULL);
  if (!ready) session_end_early(session, refusal.status, refusal.message);
  progress_to(PROGRESS_TRACE);
}

void session_stop(struct session *session) {
  session->helper_threads = process_threads() - 1;
  progress_to(PROGRESS_STATS);
  subject_stats(&session->subject, &session->json);
  progress_to(PROGRESS_FINI);
  enter(session, PART_FINI, NULL);
  session->subject.table.fini();
  leave(session, PART_FINI, NULL);
  progress_to(PROGRESS_RESULT);
}

void session_thread_start(const struct worker *worker) {
  struct session *session = worker->session;
  subject_thread_prepare(&session->subject);
  enter(session, PART_THREAD_START, worker);
  if (session->subject.table.thread_start) session->subject.table.thread_start();
  leave(session, PART_THREAD_START, worker);
}

void session_thread_stop(const struct worker *worker) {
  struct session *session = worker->session;
  enter(session, PART_THREAD_STOP, worker);
  if (session->subject.table.thread_stop) session->subject.table.thread_stop();
  leave(session, PART_THREAD_STOP, worker);
}
