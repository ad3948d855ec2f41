/* verify.c: is it a correct allocator? Every object of the trace is filled with a
 * pattern of its own and looked at again whenever something may have changed it.
 *
 * Checked at each operation: alignment (16 bytes, 8 for at most 8 bytes, or what
 * was asked for), no overlap with any live object, calloc's zeroes, the prefix
 * that realloc must keep, the pattern, usable_size at least the size; and the
 * allocator's own check() now and then in the first replay, and when all is free.
 * With --check-every N so is the pattern of every live object after each N operations,
 * in all replays, and check() with it: what damages an object is found beside the
 * operation that did it, and not only when the object is next used.
 *
 * The trace is replayed more than once, and its steady part twice the first time: a timed
 * process repeats it dozens of times, and what an allocator does when everything was freed
 * (reset, recycle, count) shows first in the second replay. What no trace asks for is asked last (conformance.h):
 * an allocator that never uses memory again could run out of it before the trace, and
 * what a function that the trace does not use has broken is no fault of the trace.
 *
 * Live objects are kept in a treap ordered by address, so that an overlap is
 * found when it arises, and named, not later as damage. Threads take one lock.
 */
#include <pthread.h>

#include "base/system.h"
#include "base/text.h"
#include "probes/conformance.h"
#include "probes/pattern.h"
#include "probes/probes.h"
#include "progress.h"
#include "replay.h"
#include "team.h"

#define NOBODY UINT32_MAX

/* Three replays where they are cheap: what alternates is the same in the first and third. */
#define FEW_OPERATIONS 1000000u
#define REPLAYS 2u
#define REPLAYS_OF_FEW 3u
/* A check() may cost more than a thousand operations: where nobody says how often, later
 * replays are looked at when all is free. */
#define OWN_CHECK_EVERY 1000u

/* Node i is slot i. */
struct node {
  uint32_t left, right;
  uint32_t priority;
  uintptr_t start;
  uintptr_t end; /* one past the last byte; start + 1 for an object of no bytes */
};

struct verify_probe {
  struct node *nodes;
  uint32_t root;
  uint64_t done;
  uint64_t checks;
  pthread_mutex_t lock;
};

static struct verify_probe probe;

/* ---- The treap of live objects ------------------------------------------------- */

/* Splits `tree` into the nodes below `start` and the others. */
static void treap_split(uint32_t tree, uintptr_t start, uint32_t *below, uint32_t *above) {
  struct node *nodes = probe.nodes;
  while (tree != NOBODY) {
    if (nodes[tree].start < start) {
      *below = tree;
      below = &nodes[tree].right;
      tree = nodes[tree].right;
    } else {
      *above = tree;
      above = &nodes[tree].left;
      tree = nodes[tree].left;
    }
  }
  *below = *above = NOBODY;
}

static uint32_t treap_join(uint32_t below, uint32_t above) {
  struct node *nodes = probe.nodes;
  uint32_t root = NOBODY;
  uint32_t *hole = &root;
  while (below != NOBODY && above != NOBODY) {
    if (nodes[below].priority > nodes[above].priority) {
      *hole = below;
      hole = &nodes[below].right;
      below = nodes[below].right;
    } else {
      *hole = above;
      hole = &nodes[above].left;
      above = nodes[above].left;
    }
  }
  *hole = below != NOBODY ? below : above;
  return root;
}

static void treap_add(uint32_t slot) {
  uint32_t below, above;
  treap_split(probe.root, probe.nodes[slot].start, &below, &above);
  probe.root = treap_join(treap_join(below, slot), above);
}

static void treap_remove(uint32_t slot) {
  struct node *nodes = probe.nodes;
  uint32_t *link = &probe.root;
  while (*link != slot) link = nodes[*link].start < nodes[slot].start ? &nodes[*link].right
                                                                      : &nodes[*link].left;
  *link = treap_join(nodes[slot].left, nodes[slot].right);
}

/* A live object that shares a byte with [start, end), or NOBODY. Live objects do
 * not overlap each other, so only the last one that starts before `end` can. */
static uint32_t treap_overlap(uintptr_t start, uintptr_t end) {
  uint32_t last = NOBODY;
  for (uint32_t tree = probe.root; tree != NOBODY;) {
    if (probe.nodes[tree].start < end) {
      last = tree;
      tree = probe.nodes[tree].right;
    } else {
      tree = probe.nodes[tree].left;
    }
  }
  return last != NOBODY && probe.nodes[last].end > start ? last : NOBODY;
}

/* ---- The checks at each operation ----------------------------------------------- */

_Noreturn static void corrupt(struct worker *worker, const struct trace_op *op, const char *what) {
  session_fail(worker, (uint64_t)(op - worker->ops), "corrupt", what);
}

static void check_placement(struct worker *worker, const struct cell *cell,
                            const struct trace_op *op) {
  const struct allocphase_allocator *table = &worker->session->subject.table;
  /* Where the driver emulates an alignment, the object starts later than its block. */
  bool emulated = cell->align_log2 && !table->aligned_alloc;
  uintptr_t start = emulated ? (uintptr_t)cell_object(cell) : (uintptr_t)cell->block;
  uintptr_t alignment = cell->align_log2 && !emulated ? (uintptr_t)1 << cell->align_log2
                        : cell->size <= 8             ? 8
                                                      : 16;
  if ((uintptr_t)cell->block % alignment != 0) corrupt(worker, op, "misaligned block");
  if (table->usable_size && !emulated && table->usable_size(cell->block) < cell->size)
    corrupt(worker, op, "usable_size is smaller than what was asked for");
  struct node *node = &probe.nodes[op->slot];
  node->start = start;
  node->end = start + (cell->size ? cell->size : 1);
  if (treap_overlap(node->start, node->end) != NOBODY)
    corrupt(worker, op, "block overlaps a live one");
  node->left = node->right = NOBODY;
  treap_add(op->slot);
}

/* NULL, or a line that says what is wrong. */
static const char *own_check(const struct session *session) {
  static char line[256];
  const struct allocphase_allocator *table = &session->subject.table;
  const char *broken = table->check ? table->check() : NULL;
  probe.checks += table->check != NULL;
  if (!broken) return NULL;
  struct text text = text_in(line, sizeof line);
  text_add(&text, "the allocator's own check fails: ");
  text_add(&text, broken);
  return line;
}

static void run_own_check(struct worker *worker, const struct trace_op *op) {
  const char *broken = own_check(worker->session);
  if (broken) corrupt(worker, op, broken);
}

/* Takes back what replay_write() did, so that the object must be as it was filled. */
static void unwrite(unsigned char *object, size_t size, uint32_t times) {
  uint64_t word = 0;
  size_t bytes = size < sizeof word ? size != 0 : sizeof word;
  memcpy(&word, object, bytes);
  word -= times;
  memcpy(object, &word, bytes);
}

static void check_untouched(struct worker *worker, const struct cell *cell,
                            const struct trace_op *op) {
  if (!pattern_holds((unsigned char *)cell_object(cell), cell->size, op->slot))
    corrupt(worker, op, "the object's content has changed");
}

/* The program's write, and a free that was refused, leave the rest of the object alone:
 * it is not filled anew, or nobody would see that they did not. Under the lock, since
 * another thread may look at all objects meanwhile. */
static void write_object(struct worker *worker, const struct cell *cell,
                         const struct trace_op *op) {
  unsigned char *object = (unsigned char *)cell_object(cell);
  pthread_mutex_lock(&probe.lock);
  replay_write(object, cell->size, op->size);
  unwrite(object, cell->size, op->size);
  check_untouched(worker, cell, op);
  pthread_mutex_unlock(&probe.lock);
}

static void before(struct worker *worker, const struct cell *cell, const struct trace_op *op) {
  pthread_mutex_lock(&probe.lock);
  if (!pattern_holds((unsigned char *)cell_object(cell), cell->size, op->slot))
    corrupt(worker, op, "the object's content has changed");
  treap_remove(op->slot);
  pthread_mutex_unlock(&probe.lock);
}

static void check_new(struct worker *worker, const struct cell *cell, const struct trace_op *op,
                      uint32_t old_size) {
  unsigned char *object = (unsigned char *)cell_object(cell);
  check_placement(worker, cell, op);
  if (op->kind == TRACE_CALLOC && !is_zero(object, cell->size))
    corrupt(worker, op, "calloc's block is not zero");
  uint32_t kept = old_size < cell->size ? old_size : cell->size;
  if (op->kind == TRACE_REALLOC && !pattern_holds(object, kept, op->slot))
    corrupt(worker, op, "realloc did not keep the content");
  pattern_fill(object, cell->size, op->slot);
}

/* ---- The checks now and then ------------------------------------------------------- */

/* A live object of the tree that is not as it was filled, or NOBODY. */
static uint32_t treap_damaged(uint32_t tree, const struct cell *cells) {
  while (tree != NOBODY) {
    const struct cell *cell = &cells[tree];
    if (!pattern_holds((unsigned char *)cell_object(cell), cell->size, tree)) return tree;
    uint32_t found = treap_damaged(probe.nodes[tree].left, cells);
    if (found != NOBODY) return found;
    tree = probe.nodes[tree].right;
  }
  return NOBODY;
}

_Noreturn static void damaged(struct worker *worker, const struct trace_op *op, uint32_t slot) {
  char line[256];
  const struct cell *cell = &worker->session->cells[slot];
  uint32_t every = worker->session->options.check_every;
  struct text text = text_in(line, sizeof line);
  text_add(&text, "the live object in slot ");
  text_add_number(&text, slot);
  text_add(&text, " has changed at byte ");
  text_add_number(&text, pattern_broken_at((unsigned char *)cell_object(cell), cell->size, slot));
  text_add(&text, " of ");
  text_add_number(&text, cell->size);
  text_add(&text, ", seen");
  if (every > 1) {
    text_add(&text, " within ");
    text_add_number(&text, every);
    text_add(&text, " operations,");
  }
  session_fail_after(worker, (uint64_t)(op - worker->ops), "corrupt", line);
}

static void check_everything(struct worker *worker, const struct trace_op *op) {
  uint32_t slot = treap_damaged(probe.root, worker->session->cells);
  if (slot != NOBODY) damaged(worker, op, slot);
  run_own_check(worker, op);
}

static void after(struct worker *worker, const struct cell *cell, const struct trace_op *op,
                  uint32_t old_size) {
  uint32_t every = worker->session->options.check_every;
  pthread_mutex_lock(&probe.lock);
  if (op->kind == TRACE_FREE_FOREIGN) check_untouched(worker, cell, op);
  else if (op->kind <= TRACE_ALIGNED_ALLOC)
    check_new(worker, cell, op, old_size);
  probe.done++;
  if (every && probe.done % every == 0) check_everything(worker, op);
  else if (!every && probe.done % OWN_CHECK_EVERY == 0 && worker->session->replay == 1)
    run_own_check(worker, op);
  pthread_mutex_unlock(&probe.lock);
}

#define REPLAY_BEFORE(worker, cell, op) before(worker, cell, op)
#define REPLAY_ENTER(worker, op) progress_enter(worker, op)
#define REPLAY_LEAVE(worker, op) progress_leave(worker)
#define REPLAY_WRITE(worker, cell, op) write_object(worker, cell, op)
#define REPLAY_AFTER(worker, cell, op, old_size) after(worker, cell, op, old_size)

#include "replay_both.inc"

/* The last thread to end a part looks: after the drain, when all is free. */
static void run_part(struct worker *worker) {
  replay_part(worker);
  pthread_mutex_lock(&probe.lock);
  if (worker->end > worker->begin) run_own_check(worker, &worker->ops[worker->end - 1]);
  pthread_mutex_unlock(&probe.lock);
}

/* ---- The probe -------------------------------------------------------------------- */

static void prepare(struct session *session) {
  const struct trace_header *header = session->trace.header;
  struct trace_header *mutable_header = take_pages(sizeof *header);
  *mutable_header = *header;
  mutable_header->touch = TRACE_TOUCH_NONE; /* it would write into calloc's zeroes */
  session->trace.header = mutable_header;
  probe.nodes = take_pages(header->slot_count * sizeof *probe.nodes);
  probe.root = NOBODY;
  uint32_t random = 0x9e3779b9u; /* xorshift: the treap only needs spread */
  for (uint32_t s = 0; s < header->slot_count; s++) {
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    probe.nodes[s].priority = random;
  }
  pthread_mutex_init(&probe.lock, NULL);
}

/* Where there is no more, the next replay repeats it anyway. */
static bool has_more_than_steady(const struct session *session) {
  uint64_t steady = session->trace.part_ops[TRACE_STEADY];
  return steady > 0 && steady < session->trace.header->op_count;
}

static void replay_repeatedly(struct session *session) {
  bool few = session->trace.header->op_count < FEW_OPERATIONS;
  uint32_t replays = few ? REPLAYS_OF_FEW : REPLAYS;
  for (session->replay = 1; session->replay <= replays; session->replay++) {
    session->skipped_ops = 0;
    progress_replay(session->replay);
    team_run_warm(session, run_part, &probe, session->replay == 1 && has_more_than_steady(session));
  }
  json_integer(&session->json, "operations", probe.done);
  json_integer(&session->json, "replays", replays);
}

/* After a fault that the trace has nothing to do with, check() would only repeat it. */
static void ask_for_conformance(struct session *session) {
  static struct conformance conformance;
  progress_to(PROGRESS_CONFORMANCE);
  conformance_run(session, &conformance);
  const char *broken = conformance.finding_count == 0 ? own_check(session) : NULL;
  if (broken) conformance_fail(session, broken);
  conformance_report(&conformance, &session->json);
}

void probe_verify(struct session *session) {
  prepare(session);
  session_start(session);
  json_open(&session->json, "verify");
  replay_repeatedly(session);
  ask_for_conformance(session);
  json_integer(&session->json, "own_checks", probe.checks);
  json_close(&session->json);
  session_stop(session);
}
