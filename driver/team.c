#include "team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "handover.h"
#include "system.h"

/* Stacks are mapped memory too: no more of it than an allocator may need. */
#define STACK_BYTES ((size_t)1 << 20)

struct team {
  struct session *session;
  worker_body *body;
  struct worker *workers;
  uint32_t threads;
  _Atomic uint32_t ready;
  uint32_t started; /* futex: 0, then 1 */
  _Atomic uint32_t running;
  uint32_t ended; /* futex: 0, then 1 */
  uint64_t end_ns;
};

static struct team team; /* one at a time: the process replays one trace */

static void *worker_main(void *argument);

static void start_thread(struct worker *worker) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  int error = pthread_create(&thread, &attributes, worker_main, worker);
  if (error) die(EXIT_TOOL, "cannot start a thread", strerror(error));
  pthread_attr_destroy(&attributes);
}

static void pin_worker(const struct worker *worker) {
  const struct options *options = &team.session->options;
  if (options->cpu_count == 0) return;
  uint32_t lane = team.session->trace.threads[worker->thread].lane;
  pin_to_cpu(options->cpus[lane % options->cpu_count]);
}

static void wait_for_start(void) {
  atomic_fetch_add(&team.ready, 1);
  while (!__atomic_load_n(&team.started, __ATOMIC_ACQUIRE)) spin_pause();
}

static void start_successors(uint32_t thread) {
  for (uint32_t t = thread + 1; t < team.threads; t++)
    if (team.session->trace.threads[t].predecessor == thread) start_thread(&team.workers[t]);
}

static void end_worker(void) {
  if (atomic_fetch_sub(&team.running, 1) != 1) return;
  team.end_ns = now_ns();
  __atomic_store_n(&team.ended, 1, __ATOMIC_RELEASE);
  futex_wake_all(&team.ended);
}

static void *worker_main(void *argument) {
  struct worker *worker = argument;
  const struct allocphase_allocator *table = &team.session->subject.table;
  pin_worker(worker);
  if (table->thread_start) table->thread_start();
  if (team.session->trace.threads[worker->thread].predecessor == TRACE_NO_THREAD)
    wait_for_start();
  uint64_t start_ns = now_ns();
  team.body(worker);
  worker->busy_ns = now_ns() - start_ns;
  if (table->thread_stop) table->thread_stop();
  start_successors(worker->thread);
  end_worker();
  return NULL;
}

static uint64_t run_alone(struct session *session, worker_body *body, struct worker *worker) {
  const struct allocphase_allocator *table = &session->subject.table;
  if (table->thread_start) table->thread_start();
  uint64_t start_ns = now_ns();
  body(worker);
  uint64_t end_ns = now_ns();
  if (table->thread_stop) table->thread_stop();
  return end_ns - start_ns;
}

static uint64_t run_together(struct session *session) {
  memset(session->epochs, 0, session->trace.header->slot_count * sizeof *session->epochs);
  atomic_store(&team.ready, 0);
  atomic_store(&team.running, team.threads);
  team.started = team.ended = 0;
  uint32_t first = 0;
  for (uint32_t t = 0; t < team.threads; t++) {
    if (session->trace.threads[t].predecessor != TRACE_NO_THREAD) continue;
    start_thread(&team.workers[t]);
    first++;
  }
  while (atomic_load(&team.ready) < first) sched_yield();
  uint64_t start_ns = now_ns();
  __atomic_store_n(&team.started, 1, __ATOMIC_RELEASE);
  while (!__atomic_load_n(&team.ended, __ATOMIC_ACQUIRE)) futex_wait(&team.ended, 0);
  return team.end_ns - start_ns;
}

uint64_t team_busy_ns(uint32_t thread) { return team.workers[thread].busy_ns; }

uint64_t team_run(struct session *session, worker_body *body, void *probe) {
  const struct trace *trace = &session->trace;
  team.session = session;
  team.body = body;
  team.threads = trace->header->thread_count;
  if (!team.workers) team.workers = take_pages(team.threads * sizeof *team.workers);
  for (uint32_t t = 0; t < team.threads; t++)
    team.workers[t] = (struct worker){
        .session = session,
        .thread = t,
        .ops = trace->ops + trace->threads[t].first_op,
        .count = trace->threads[t].op_count,
        .probe = probe,
    };
  return team.threads == 1 ? run_alone(session, body, &team.workers[0]) : run_together(session);
}
