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

/* Where all threads of a part meet. The last to come reads the clock, and all go on. */
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
  void *probe;
  team_script *script;
  struct worker *workers;
  pthread_t *handles;
  struct life *lives; /* of mortal threads */
  char **stacks;
  uint32_t threads;
  bool standing;
  bool compares; /* threads look whether the allocator changed them */
  enum trace_part first, last; /* of the step */
  uint64_t times;
  bool over; /* no step follows */
  struct meeting turn, start, end;
  uint32_t turns;        /* that the first thread has met in */
  uint64_t busy_ns;      /* of the step */
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

static void enter_part(struct worker *worker, enum trace_part part) {
  struct trace_range range = trace_range(&team.session->trace, worker->thread, part);
  worker->part = part;
  worker->begin = range.begin;
  worker->end = range.end;
  uint64_t before = worker->replays[part];
  worker->place = before == 0 ? team.session->trace.threads[worker->thread].first_op
                            : worker->warm_place +
                                  (before - 1) * trace_repeated_ops(&team.session->trace);
}

static void work(struct worker *worker) {
  uint64_t start_ns = now_ns();
  team.body(worker);
  worker->busy_ns += now_ns() - start_ns;
  worker->replays[worker->part]++;
}

/* Each thread its share of the slots: where each stands when the part begins. */
static void forget_epochs(uint32_t thread, enum trace_part part) {
  uint64_t slots = team.session->trace.header->slot_count;
  uint64_t from = slots * thread / team.threads, to = slots * (thread + 1) / team.threads;
  memcpy(team.session->epochs + from, team.session->trace.part_epochs[part] + from,
         (to - from) * sizeof *team.session->epochs);
}

/* ---- Steps ------------------------------------------------------------------------ */

typedef void part_player(struct worker *worker, enum trace_part part);

/* What the step is, part by part. */
static void each_part(part_player *play, struct worker *worker) {
  for (uint64_t time = 0; time < team.times; time++)
    for (enum trace_part part = team.first; part <= team.last; part++)
      if (team.session->trace.part_ops[part] > 0) play(worker, part);
}

/* ---- Standing threads --------------------------------------------------------------- */

/* The meetings of a part are counted by what was replayed: all threads play all parts. */
static void play_together(struct worker *worker, enum trace_part part) {
  uint32_t number = 1;
  for (int i = 0; i < TRACE_PARTS; i++) number += (uint32_t)worker->replays[i];
  enter_part(worker, part);
  forget_epochs(worker->thread, part);
  meet(&team.start, number);
  work(worker);
  meet(&team.end, number);
  /* Nobody comes to the next end before this thread has come to the next start. */
  if (worker->thread == 0) team.busy_ns += team.end.last_ns - team.start.last_ns;
}

static void play_parts(struct worker *worker) {
  uint64_t own_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
  each_part(play_together, worker);
  atomic_fetch_add(&team.worker_cpu_ns, cpu_ns(CLOCK_THREAD_CPUTIME_ID) - own_ns);
}

static void follow(struct worker *worker) {
  for (uint32_t turns = 0;;) {
    meet(&team.turn, ++turns);
    if (team.over) return;
    play_parts(worker);
    meet(&team.turn, ++turns);
  }
}

/* Between the two meetings, CPU time of the process that is none of its workers' is a
 * helper's. */
static struct team_time play_standing(struct worker *worker) {
  meet(&team.turn, ++team.turns);
  uint64_t helper_ns = process_cpu_ns();
  play_parts(worker);
  meet(&team.turn, ++team.turns);
  helper_ns = above(process_cpu_ns() - helper_ns, atomic_load(&team.worker_cpu_ns));
  return (struct team_time){team.busy_ns, 0, helper_ns};
}

static void lead(void) {
  team.script(team.probe);
  team.over = true;
  meet(&team.turn, ++team.turns);
}

static void live_through_all(struct worker *worker) {
  session_thread_start(worker);
  if (worker->thread == 0) lead();
  else follow(worker);
  session_thread_stop(worker);
}

/* ---- Mortal threads ------------------------------------------------------------------- */

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

static bool is_born(uint32_t thread, enum trace_part part) {
  struct trace_range range = trace_range(&team.session->trace, thread, part);
  return range.begin < range.end;
}

static void live_through_one(struct worker *worker) {
  struct life *life = &team.lives[worker->thread];
  uint32_t before = predecessor_of(worker->thread);
  pthread_mutex_lock(&life->alive);
  meet(&team.start, 1);
  if (before != TRACE_NO_THREAD && is_born(before, worker->part)) wait_until_gone(before);
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
  if (team.standing) live_through_all(worker);
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

static void prepare_life(struct life *life) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&life->alive, &attributes);
  pthread_mutexattr_destroy(&attributes);
  atomic_store(&life->over, false);
}

/* All threads are made before any of them goes: their making is the driver's. `none`: it
 * is no one worker's. */
static void live_and_die(struct worker *none, enum trace_part part) {
  (void)none;
  uint32_t born = 0;
  for (uint32_t t = 0; t < team.threads; t++) {
    forget_epochs(t, part);
    if (!is_born(t, part)) continue;
    prepare_life(&team.lives[t]);
    enter_part(&team.workers[t], part);
    born++;
  }
  meeting_prepare(&team.start, born + 1);
  for (uint32_t t = 0; t < team.threads; t++)
    if (is_born(t, part)) start_thread(&team.workers[t]);
  meet(&team.start, 1);
  for (uint32_t t = 0; t < team.threads; t++)
    if (is_born(t, part)) wait_until_gone(t);
  uint64_t end_ns = now_ns();
  for (uint32_t t = 0; t < team.threads; t++)
    if (is_born(t, part)) pthread_join(team.handles[t], NULL);
  team.busy_ns += end_ns - team.start.last_ns;
}

/* ---- Runs ------------------------------------------------------------------------- */

static void replay_alone(struct worker *worker, enum trace_part part) {
  enter_part(worker, part);
  team.body(worker);
  worker->replays[part]++;
}

/* What stood ready while others had the CPU is theirs. But who had it the kernel does not
 * say: what the allocator's own threads and children worked meanwhile is not taken off.
 * Sleep in a call stays in too. The readings of the delay lie outside the step and are
 * timed themselves: what was put aside there is none of its delay. */
static struct team_time play_alone(struct worker *worker) {
  uint64_t helper_ns = process_cpu_ns() - cpu_ns(CLOCK_THREAD_CPUTIME_ID);
  uint64_t outer_ns = now_ns();
  uint64_t delay_ns = run_delay_ns();
  uint64_t start_ns = now_ns();
  each_part(replay_alone, worker);
  uint64_t busy_ns = now_ns() - start_ns;
  delay_ns = run_delay_ns() - delay_ns;
  uint64_t outside_ns = now_ns() - outer_ns - busy_ns;
  helper_ns = above(process_cpu_ns() - cpu_ns(CLOCK_THREAD_CPUTIME_ID), helper_ns);
  delay_ns = above(above(delay_ns, outside_ns), helper_ns);
  if (delay_ns > busy_ns) delay_ns = 0;
  return (struct team_time){busy_ns - delay_ns, delay_ns, helper_ns};
}

static struct team_time play_mortal(void) {
  each_part(live_and_die, NULL);
  return (struct team_time){team.busy_ns, 0, 0};
}

static void run_alone(struct worker *worker) {
  session_thread_start(worker);
  team.script(team.probe);
  session_thread_stop(worker);
}

static void run_standing(void) {
  meeting_prepare(&team.turn, team.threads);
  meeting_prepare(&team.start, team.threads);
  meeting_prepare(&team.end, team.threads);
  for (uint32_t t = 0; t < team.threads; t++) start_thread(&team.workers[t]);
  for (uint32_t t = 0; t < team.threads; t++) pthread_join(team.handles[t], NULL);
}

/* ---- Interface -------------------------------------------------------------------- */

uint64_t team_busy_ns(uint32_t thread) { return team.workers[thread].busy_ns; }

void team_prepare(const struct session *session) {
  team.threads = session->trace.header->thread_count;
  team.compares = true;
  team.standing = !trace_threads_end(&session->trace);
  team.workers = take_pages(team.threads * sizeof *team.workers);
  if (team.threads == 1) return;
  team.handles = take_pages(team.threads * sizeof *team.handles);
  team.lives = take_pages(team.threads * sizeof *team.lives);
  team.stacks = take_pages(team.threads * sizeof *team.stacks);
  for (uint32_t t = 0; t < team.threads; t++) team.stacks[t] = take_pages(STACK_BYTES);
}

static void prepare_run(struct session *session, worker_body *body, void *probe,
                        team_script *script) {
  const struct trace *trace = &session->trace;
  if (!team.workers) team_prepare(session);
  team.session = session;
  team.body = body;
  team.probe = probe;
  team.script = script;
  team.over = false;
  team.turns = 0;
  uint64_t warm_place = trace->header->op_count;
  for (uint32_t t = 0; t < team.threads; t++) {
    struct trace_range begin = trace_range(trace, t, trace_first_repeated(trace));
    struct trace_range end = trace_range(trace, t, trace_last_repeated(trace));
    team.workers[t] = (struct worker){
        .session = session,
        .thread = t,
        .ops = trace->ops + trace->threads[t].first_op,
        .warm_place = warm_place - begin.begin,
        .probe = probe,
    };
    warm_place += end.end - begin.begin;
  }
}

void team_run(struct session *session, worker_body *body, void *probe, team_script *script) {
  prepare_run(session, body, probe, script);
  if (team.threads == 1) run_alone(&team.workers[0]);
  else if (team.standing) run_standing();
  else script(probe);
  team.compares = false; /* once is enough, and mortal threads would be timed with it */
  for (uint32_t t = 0; t < team.threads; t++) session->work.done += team.workers[t].worked;
}

struct team_time team_play(enum trace_part first, enum trace_part last, uint64_t times) {
  team.first = first;
  team.last = last;
  team.times = times;
  team.busy_ns = 0;
  atomic_store(&team.worker_cpu_ns, 0);
  for (uint32_t t = 0; t < team.threads; t++) team.workers[t].busy_ns = 0;
  if (team.threads == 1) return play_alone(&team.workers[0]);
  return team.standing ? play_standing(&team.workers[0]) : play_mortal();
}

/* ---- The usual script ----------------------------------------------------------------- */

static struct {
  uint64_t warm;
  uint64_t first_ns; /* what the first replay of each part took */
} usual;

static void play_usual(void *probe) {
  (void)probe;
  enum trace_part first = trace_first_repeated(&team.session->trace);
  enum trace_part last = trace_last_repeated(&team.session->trace);
  usual.first_ns = team_play(TRACE_BUILD, last, 1).busy_ns;
  if (usual.warm) team_play(first, last, usual.warm);
  if (last < TRACE_DRAIN) usual.first_ns += team_play(TRACE_DRAIN, TRACE_DRAIN, 1).busy_ns;
}

uint64_t team_run_warm(struct session *session, worker_body *body, void *probe, uint64_t warm) {
  usual.warm = warm;
  team_run(session, body, probe, play_usual);
  return usual.first_ns;
}

uint64_t team_run_once(struct session *session, worker_body *body, void *probe) {
  return team_run_warm(session, body, probe, 0);
}
