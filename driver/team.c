#include "team.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/system.h"
#include "conditions.h"
#include "handover.h"
#include "tampering.h"

/* Resident before anything is measured, so that a thread's stack is neither the
 * allocator's memory nor its page faults. The thread-local memory of all libraries
 * lies on it too: that of a sanitizer needs most of this. */
#define STACK_BYTES ((size_t)1 << 20)

/* Where all threads of a replay meet. The last to come reads the clock, and all go on. */
struct meeting {
  uint32_t parties;
  _Atomic uint32_t missing;
  uint32_t generation; /* a handover word: threads spin, then sleep */
  uint64_t last_ns;    /* when the last one came */
};

struct life {
  pthread_mutex_t alive; /* robust: held from the thread's first step to its death */
  _Atomic bool over;     /* its operations are done, and seen by whoever comes after */
};

struct team {
  struct session *session;
  worker_body *body;
  struct worker *workers;
  pthread_t *handles;
  struct life *lives; /* of mortal threads */
  char **stacks;
  uint32_t threads;
  uint64_t replays;
  bool standing;
  bool compares; /* threads look whether the allocator changed them */
  struct meeting start, end;
  uint64_t busy_ns; /* of a standing run, as is what follows */
  uint64_t helper_ns;
  _Atomic uint64_t worker_cpu_ns;
};

static struct team team; /* one at a time: the process replays one trace */

/* ---- Clocks ---------------------------------------------------------------------- */

static uint64_t cpu_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t children_cpu_ns(void) {
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
         (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
}

/* Of all its threads, and of the children that it waited for. */
static uint64_t process_cpu_ns(void) {
  return cpu_ns(CLOCK_PROCESS_CPUTIME_ID) + children_cpu_ns();
}

static uint64_t above(uint64_t value, uint64_t base) { return value > base ? value - base : 0; }

/* ---- Meetings -------------------------------------------------------------------- */

static void meeting_prepare(struct meeting *meeting, uint32_t parties) {
  meeting->parties = parties;
  atomic_store(&meeting->missing, parties);
  meeting->generation = 0;
}

/* Generation g is met for the g-th time, from 1. */
static void meet(struct meeting *meeting, uint32_t generation) {
  if (atomic_fetch_sub(&meeting->missing, 1) > 1) {
    handover_wait(&meeting->generation, generation);
    return;
  }
  atomic_store(&meeting->missing, meeting->parties);
  meeting->last_ns = now_ns();
  handover_post(&meeting->generation, generation);
}

/* ---- Threads ---------------------------------------------------------------------- */

static void pin_worker(const struct worker *worker) {
  const struct options *options = &team.session->options;
  if (options->cpu_count == 0) return;
  uint32_t lane = team.session->trace.threads[worker->thread].lane;
  int error = pin_to_cpu(options->cpus[lane % options->cpu_count]);
  if (error) conditions_lack("pinning to a CPU", strerror(error));
}

static void work(struct worker *worker) {
  uint64_t start_ns = now_ns();
  team.body(worker);
  worker->busy_ns += now_ns() - start_ns;
}

/* Each thread its part: no slot has been used in the replay that begins. */
static void forget_epochs(uint32_t thread) {
  uint64_t slots = team.session->trace.header->slot_count;
  uint64_t from = slots * thread / team.threads, to = slots * (thread + 1) / team.threads;
  memset(team.session->epochs + from, 0, (to - from) * sizeof *team.session->epochs);
}

/* Between the first meeting and the last, CPU time of the process that is none of its
 * workers' is a helper's. */
static void live_through_all_replays(struct worker *worker) {
  bool first = worker->thread == 0;
  uint32_t replays = (uint32_t)team.replays;
  session_thread_start(worker);
  meet(&team.start, 1);
  if (first) team.helper_ns = process_cpu_ns();
  uint64_t own_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
  for (uint32_t r = 1; r <= replays; r++) {
    forget_epochs(worker->thread);
    meet(&team.start, r + 1);
    work(worker);
    meet(&team.end, r);
    /* Nobody comes to the next end before this thread has come to the next start. */
    if (first) team.busy_ns += team.end.last_ns - team.start.last_ns;
  }
  atomic_fetch_add(&team.worker_cpu_ns, cpu_ns(CLOCK_THREAD_CPUTIME_ID) - own_ns);
  meet(&team.end, replays + 1);
  if (first)
    team.helper_ns = above(process_cpu_ns() - team.helper_ns, atomic_load(&team.worker_cpu_ns));
  session_thread_stop(worker);
}

static uint32_t predecessor_of(uint32_t thread) {
  return team.session->trace.threads[thread].predecessor;
}

/* Until the kernel says that the thread is gone: then it has taken the mutex, that the
 * thread holds as long as it lives, out of its dead hands. No pthread_join: that frees
 * what libc had for the thread, and so would be a call of the allocator's in a replay. */
static void wait_until_gone(uint32_t thread) {
  struct life *life = &team.lives[thread];
  if (pthread_mutex_lock(&life->alive) == EOWNERDEAD) pthread_mutex_consistent(&life->alive);
  pthread_mutex_unlock(&life->alive);
  while (!atomic_load_explicit(&life->over, memory_order_acquire)) continue; /* it is */
}

static void live_through_one(struct worker *worker) {
  struct life *life = &team.lives[worker->thread];
  uint32_t before = predecessor_of(worker->thread);
  pthread_mutex_lock(&life->alive);
  meet(&team.start, 1);
  if (before != TRACE_NO_THREAD) wait_until_gone(before);
  session_thread_start(worker);
  work(worker);
  session_thread_stop(worker);
  atomic_store_explicit(&life->over, true, memory_order_release);
}

static void *worker_main(void *argument) {
  struct worker *worker = argument;
  struct thread_state state;
  pin_worker(worker);
  if (team.compares) thread_state_take(&state);
  if (team.standing) live_through_all_replays(worker);
  else live_through_one(worker);
  if (team.compares) thread_state_compare(&state);
  return NULL;
}

static void start_thread(struct worker *worker) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, team.stacks[worker->thread], STACK_BYTES);
  int error =
      pthread_create(&team.handles[worker->thread], &attributes, worker_main, worker);
  if (error) die(EXIT_TOOL, "cannot start a thread", strerror(error));
  pthread_attr_destroy(&attributes);
}

/* ---- Runs ------------------------------------------------------------------------- */

/* What stood ready while others had the CPU is theirs. But who had it the kernel does not
 * say: what the allocator's own threads and children worked meanwhile is not taken off.
 * Sleep in a call stays in too. The readings of the delay lie outside the pass and are
 * timed themselves: what was put aside there is none of its delay. */
static struct team_time run_alone(struct worker *worker) {
  session_thread_start(worker);
  uint64_t helper_ns = process_cpu_ns() - cpu_ns(CLOCK_THREAD_CPUTIME_ID);
  uint64_t outer_ns = now_ns();
  uint64_t delay_ns = run_delay_ns();
  uint64_t start_ns = now_ns();
  for (uint64_t r = 0; r < team.replays; r++) team.body(worker);
  uint64_t busy_ns = now_ns() - start_ns;
  delay_ns = run_delay_ns() - delay_ns;
  uint64_t outside_ns = now_ns() - outer_ns - busy_ns;
  helper_ns = above(process_cpu_ns() - cpu_ns(CLOCK_THREAD_CPUTIME_ID), helper_ns);
  session_thread_stop(worker);
  delay_ns = above(above(delay_ns, outside_ns), helper_ns);
  if (delay_ns > busy_ns) delay_ns = 0;
  return (struct team_time){busy_ns - delay_ns, delay_ns, helper_ns};
}

/* All threads are made before any of them goes: their making is the driver's. */
static void start_all(uint32_t parties) {
  meeting_prepare(&team.start, parties);
  meeting_prepare(&team.end, parties);
  for (uint32_t t = 0; t < team.threads; t++) start_thread(&team.workers[t]);
}

static void join_all(void) {
  for (uint32_t t = 0; t < team.threads; t++) pthread_join(team.handles[t], NULL);
}

static struct team_time run_standing(void) {
  team.busy_ns = 0;
  atomic_store(&team.worker_cpu_ns, 0);
  start_all(team.threads);
  join_all();
  return (struct team_time){team.busy_ns, 0, team.helper_ns};
}

static void prepare_life(struct life *life) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&life->alive, &attributes);
  pthread_mutexattr_destroy(&attributes);
  atomic_store(&life->over, false);
}

static uint64_t run_mortal(void) {
  for (uint32_t t = 0; t < team.threads; t++) {
    prepare_life(&team.lives[t]);
    forget_epochs(t);
  }
  start_all(team.threads + 1);
  meet(&team.start, 1);
  for (uint32_t t = 0; t < team.threads; t++) wait_until_gone(t);
  uint64_t end_ns = now_ns();
  join_all();
  return end_ns - team.start.last_ns;
}

/* ---- Interface -------------------------------------------------------------------- */

uint64_t team_busy_ns(uint32_t thread) { return team.workers[thread].busy_ns; }

void team_prepare(const struct session *session) {
  team.threads = session->trace.header->thread_count;
  team.compares = true;
  team.standing = true;
  for (uint32_t t = 0; t < team.threads; t++)
    team.standing &= session->trace.threads[t].predecessor == TRACE_NO_THREAD;
  team.workers = take_pages(team.threads * sizeof *team.workers);
  if (team.threads == 1) return;
  team.handles = take_pages(team.threads * sizeof *team.handles);
  team.lives = take_pages(team.threads * sizeof *team.lives);
  team.stacks = take_pages(team.threads * sizeof *team.stacks);
  for (uint32_t t = 0; t < team.threads; t++) team.stacks[t] = take_pages(STACK_BYTES);
}

static void prepare_run(struct session *session, worker_body *body, void *probe,
                        uint64_t replays) {
  const struct trace *trace = &session->trace;
  if (!team.workers) team_prepare(session);
  team.session = session;
  team.body = body;
  team.replays = replays;
  for (uint32_t t = 0; t < team.threads; t++)
    team.workers[t] = (struct worker){
        .session = session,
        .thread = t,
        .ops = trace->ops + trace->threads[t].first_op,
        .count = trace->threads[t].op_count,
        .probe = probe,
    };
}

struct team_time team_run(struct session *session, worker_body *body, void *probe,
                          uint64_t replays) {
  struct team_time time = {0};
  prepare_run(session, body, probe, replays);
  if (team.threads == 1) time = run_alone(&team.workers[0]);
  else if (team.standing) time = run_standing();
  else
    for (uint64_t r = 0; r < replays; r++) time.busy_ns += run_mortal();
  team.compares = false; /* once is enough, and mortal threads would be timed with it */
  return time;
}
