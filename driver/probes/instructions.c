/* instructions.c: the replay as callgrind counts its instructions.
 *
 * The driver runs under valgrind here (main.c), which counts every instruction of a function
 * and of what it calls. Each of the allocator's functions is called from one of this file, by
 * whose name process/callgrind.py finds what the allocator itself took: what a call costs
 * here is no part of that. Collected is one replay of what can be repeated (trace.h), and that
 * after a first one: the allocator is as warm as in any timed pass. callgrind is told by the
 * name of a function where that begins and ends, so that nothing of valgrind is needed to
 * compile this.
 *
 * Nothing here is timed: under callgrind all is some fifty times slower.
 */
#include "probes/probes.h"
#include "progress.h"
#include "replay.h"
#include "team.h"

enum called { MALLOC, CALLOC, REALLOC, ALIGNED_ALLOC, FREE, CALLED };
static const char *const called_names[CALLED] = {"malloc", "calloc", "realloc", "aligned_alloc",
                                                 "free"};
static uint64_t calls[CALLED]; /* while callgrind collects */
static _Thread_local bool is_collected;
static struct allocphase_allocator called, counting;

/* Neither merged with its caller nor left by a jump: callgrind has to see a call and a return. */
#define SEEN __attribute__((noinline, used))
#define COUNTED(type, name, which, parameters, call)                            \
  SEEN static type counted_##name parameters {                                  \
    type result = called.call;                                                  \
    __atomic_fetch_add(&calls[which], is_collected, __ATOMIC_RELAXED);          \
    return result;                                                              \
  }

COUNTED(void *, malloc, MALLOC, (size_t size), malloc(size))
COUNTED(void *, malloc_tagged, MALLOC, (size_t size, const struct allocphase_tag *tag),
        malloc_tagged(size, tag))
COUNTED(void *, calloc, CALLOC, (size_t count, size_t size), calloc(count, size))
COUNTED(void *, realloc, REALLOC, (void *block, size_t size), realloc(block, size))
COUNTED(void *, aligned_alloc, ALIGNED_ALLOC, (size_t alignment, size_t size),
        aligned_alloc(alignment, size))
COUNTED(int, free_tagged, FREE, (void *block, const struct allocphase_tag *tag),
        free_tagged(block, tag))

SEEN static void counted_free(void *block) {
  called.free(block);
  __atomic_fetch_add(&calls[FREE], is_collected, __ATOMIC_RELAXED);
}

static void take_table(const struct allocphase_allocator *table) {
  called = counting = *table;
  counting.malloc = counted_malloc;
  counting.free = counted_free;
  counting.calloc = counted_calloc;
  if (table->realloc) counting.realloc = counted_realloc;
  if (table->aligned_alloc) counting.aligned_alloc = counted_aligned_alloc;
  if (table->malloc_tagged) counting.malloc_tagged = counted_malloc_tagged;
  if (table->free_tagged) counting.free_tagged = counted_free_tagged;
}

#define REPLAY_TABLE(session) (&counting)
#define REPLAY_ENTER(worker, op) progress_enter(worker, op)
#define REPLAY_LEAVE(worker, op) progress_leave(worker)
#include "replay_both.inc"

/* By this name callgrind knows when to collect. */
SEEN static void counted_replay(struct worker *worker) {
  is_collected = true;
  replay_part(worker);
  is_collected = false;
}

static void replay_counted_once_warm(struct worker *worker) {
  if (worker_is_warm(worker)) counted_replay(worker);
  else replay_part(worker);
}

void probe_instructions(struct session *session) {
  struct json *json = &session->json;
  take_table(&session->subject.table);
  session_start(session);
  team_run_warm(session, replay_counted_once_warm, NULL, 1);
  session_stop(session);
  json_open(json, "instructions");
  json_open(json, "calls");
  for (int which = 0; which < CALLED; which++)
    if (calls[which]) json_integer(json, called_names[which], calls[which]);
  json_close(json);
  json_close(json);
}
