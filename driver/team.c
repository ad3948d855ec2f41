#include "team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "conditions.h"
#include "handover.h"
#include "system.h"
#include "tampering.h"

/* Resident before anything is measured, so that a thread's stack is neither the
 * allocator's memory nor its page faults. The thread-local memory of all libraries
 * lies on it too: that of a sanitizer needs most of this. */
#define STACK_BYTES ((size_t)1 << 20)

struct team {
  struct session *session;
  worker_body *body;
  struct worker *workers;
  pthread_t *handles;
  uint32_t *turns; /* of each thread with a predecessor: a futex, 0, then 1 */
  char **stacks;
  uint32_t threads;
  _Atomic uint32_t ready;
  _Atomic uint32_t started;
  _Atomic uint32_t running;
  uint64_t end_ns;
  uint64_t delay_ns;
};

static struct team team; /* one at a time: the process replays one trace */

static void *worker_main(void *argument);

static void start_thread(struct worker *worker) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, team.stacks[worker->thread], STACK_BYTES);
  int error =
      pthread_create(&team.handles[worker->thread], &attributes, worker_main, worker);
  if (error) die(EXIT_TOOL, "cannot start a thread", strerror(error));
  pthread_attr_destroy(&attributes);
}

static void pin_worker(const struct worker *worker) {
  const struct options *options = &team.session->options;
  if (options->cpu_count == 0) return;
  uint32_t lane = team.session->trace.threads[worker->thread].lane;
  int error = pin_to_cpu(options->cpus[lane % options->cpu_count]);
  if (error) conditions_lack("pinning to a CPU", strerror(error));
}

static void wait_for_start(uint32_t thread) {
  if (team.session->trace.threads[thread].predecessor == TRACE_NO_THREAD) {
    atomic_fetch_add(&team.ready, 1);
    while (!atomic_load(&team.started)) spin_pause();
  } else {
    while (!__atomic_load_n(&team.turns[thread], __ATOMIC_ACQUIRE))
      futex_wait(&team.turns[thread], 0);
  }
}

static void start_successors(uint32_t thread) {
  for (uint32_t t = thread + 1; t < team.threads; t++) {
    if (team.session->trace.threads[t].predecessor != thread) continue;
    __atomic_store_n(&team.turns[t], 1, __ATOMIC_RELEASE);
    futex_wake_one(&team.turns[t]);
  }
}

static void end_worker(void) {
  if (atomic_fetch_sub(&team.running, 1) == 1) team.end_ns = now_ns();
}

static void *worker_main(void *argument) {
  struct worker *worker = argument;
  const struct allocphase_allocator *table = &team.session->subject.table;
  bool first = team.session->trace.threads[worker->thread].predecessor == TRACE_NO_THREAD;
  struct thread_state state;
  pin_worker(worker);
  thread_state_take(&state);
  if (first && table->thread_start) table->thread_start();
  wait_for_start(worker->thread);
  if (!first && table->thread_start) table->thread_start();
  uint64_t start_ns = now_ns();
  team.body(worker);
  worker->busy_ns = now_ns() - start_ns;
  if (table->thread_stop) table->thread_stop();
  thread_state_compare(&state);
  start_successors(worker->thread);
  end_worker();
  return NULL;
}

/* Where others had the CPU, that is their time. Sleep in a call stays in: it is the
 * allocator's. */
static uint64_t run_alone(struct session *session, worker_body *body, struct worker *worker) {
  const struct allocphase_allocator *table = &session->subject.table;
  if (table->thread_start) table->thread_start();
  uint64_t delay_ns = run_delay_ns();
  uint64_t start_ns = now_ns();
  body(worker);
  uint64_t busy_ns = now_ns() - start_ns;
  delay_ns = run_delay_ns() - delay_ns;
  team.delay_ns += delay_ns;
  if (table->thread_stop) table->thread_stop();
  return busy_ns > delay_ns ? busy_ns - delay_ns : busy_ns;
}

/* All threads are made before any of them goes, and taken down when all have ended:
 * what libc itself allocates for a thread lies outside the pass. */
static uint64_t run_together(struct session *session) {
  uint32_t first = 0;
  memset(session->epochs, 0, session->trace.header->slot_count * sizeof *session->epochs);
  memset(team.turns, 0, team.threads * sizeof *team.turns);
  atomic_store(&team.ready, 0);
  atomic_store(&team.started, 0);
  atomic_store(&team.running, team.threads);
  for (uint32_t t = 0; t < team.threads; t++) {
    first += session->trace.threads[t].predecessor == TRACE_NO_THREAD;
    start_thread(&team.workers[t]);
  }
  while (atomic_load(&team.ready) < first) sched_yield();
  uint64_t start_ns = now_ns();
  atomic_store(&team.started, 1);
  for (uint32_t t = 0; t < team.threads; t++) pthread_join(team.handles[t], NULL);
  return team.end_ns - start_ns;
}

uint64_t team_delay_ns(void) { return team.delay_ns; }

uint64_t team_busy_ns(uint32_t thread) { return team.workers[thread].busy_ns; }

void team_prepare(const struct session *session) {
  team.threads = session->trace.header->thread_count;
  team.workers = take_pages(team.threads * sizeof *team.workers);
  if (team.threads == 1) return;
  team.handles = take_pages(team.threads * sizeof *team.handles);
  team.turns = take_pages(team.threads * sizeof *team.turns);
  team.stacks = take_pages(team.threads * sizeof *team.stacks);
  for (uint32_t t = 0; t < team.threads; t++) team.stacks[t] = take_pages(STACK_BYTES);
}

uint64_t team_run(struct session *session, worker_body *body, void *probe) {
  const struct trace *trace = &session->trace;
  if (!team.workers) team_prepare(session);
  team.session = session;
  team.body = body;
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
