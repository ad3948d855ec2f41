/* verify.c: is it a correct allocator? One pass in which every object is filled
 * with a pattern of its own and looked at again before it is resized or freed.
 *
 * Checked at each operation: alignment (16 bytes, 8 for at most 8 bytes, or what
 * was asked for), no overlap with any live object, calloc's zeroes, the prefix
 * that realloc must keep, the pattern, usable_size at least the size; and the
 * allocator's own check() now and then and at the end.
 *
 * Live objects are kept in a treap ordered by address, so that an overlap is
 * found when it arises, and named, not later as damage. Threads take one lock.
 */
#include <pthread.h>

#include "progress.h"
#include "replay.h"
#include "system.h"
#include "team.h"
#include "text.h"

#define NOBODY UINT32_MAX

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

/* ---- Patterns --------------------------------------------------------------------- */

static uint64_t pattern_word(uint32_t slot, uint64_t index) {
  return (index + 1) * 0x9e3779b97f4a7c15u ^ ((uint64_t)slot + 1) * 0xd1342543de82ef95u;
}

static void pattern_fill(unsigned char *bytes, size_t size, uint32_t slot) {
  for (size_t at = 0; at < size; at += 8) {
    uint64_t word = pattern_word(slot, at / 8);
    memcpy(bytes + at, &word, size - at < 8 ? size - at : 8);
  }
}

static bool pattern_holds(const unsigned char *bytes, size_t size, uint32_t slot) {
  for (size_t at = 0; at < size; at += 8) {
    uint64_t word = pattern_word(slot, at / 8);
    if (memcmp(bytes + at, &word, size - at < 8 ? size - at : 8) != 0) return false;
  }
  return true;
}

static bool is_zero(const unsigned char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (bytes[i]) return false;
  return true;
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

static void run_own_check(struct worker *worker, const struct trace_op *op) {
  const struct allocphase_allocator *table = &worker->session->subject.table;
  if (!table->check) return;
  const char *broken = table->check();
  probe.checks++;
  if (!broken) return;
  static char line[256];
  struct text text = text_in(line, sizeof line);
  text_add(&text, "the allocator's own check fails: ");
  text_add(&text, broken);
  corrupt(worker, op, line);
}

static bool changes(const struct trace_op *op) {
  return op->kind != TRACE_WRITE && op->kind != TRACE_FREE_FOREIGN;
}

static void before(struct worker *worker, const struct cell *cell, const struct trace_op *op) {
  pthread_mutex_lock(&probe.lock);
  if (!pattern_holds((unsigned char *)cell_object(cell), cell->size, op->slot))
    corrupt(worker, op, "the object's content has changed");
  treap_remove(op->slot);
  pthread_mutex_unlock(&probe.lock);
}

static void after(struct worker *worker, const struct cell *cell, const struct trace_op *op,
                  uint32_t old_size) {
  unsigned char *object = (unsigned char *)cell_object(cell);
  pthread_mutex_lock(&probe.lock);
  if (op->kind != TRACE_FREE && changes(op)) {
    check_placement(worker, cell, op);
    if (op->kind == TRACE_CALLOC && !is_zero(object, cell->size))
      corrupt(worker, op, "calloc's block is not zero");
    uint32_t kept = old_size < cell->size ? old_size : cell->size;
    if (op->kind == TRACE_REALLOC && !pattern_holds(object, kept, op->slot))
      corrupt(worker, op, "realloc did not keep the content");
  }
  if (op->kind != TRACE_FREE) pattern_fill(object, cell->size, op->slot);
  if (++probe.done % worker->session->options.check_every == 0) run_own_check(worker, op);
  pthread_mutex_unlock(&probe.lock);
}

#define REPLAY_BEFORE(worker, cell, op) before(worker, cell, op)
#define REPLAY_ENTER(worker, op) progress_enter(worker, op)
#define REPLAY_LEAVE(worker, op) progress_leave(worker)
#define REPLAY_AFTER(worker, cell, op, old_size) after(worker, cell, op, old_size)

#define REPLAY_NAME replay_alone
#define REPLAY_THREADED 0
#include "replay.inc"

#define REPLAY_NAME replay_threaded
#define REPLAY_THREADED 1
#define REPLAY_WAIT(worker, word, op) handover_wait(word, (op)->epoch)
#include "replay.inc"

static void run_thread(struct worker *worker) {
  if (worker->session->trace.header->thread_count == 1) replay_alone(worker, 0, worker->count);
  else replay_threaded(worker, 0, worker->count);
  pthread_mutex_lock(&probe.lock);
  if (worker->count) run_own_check(worker, &worker->ops[worker->count - 1]);
  pthread_mutex_unlock(&probe.lock);
}

void probe_verify(struct session *session) {
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
  session_start(session);
  team_run(session, run_thread, &probe, 1);
  json_open(&session->json, "verify");
  json_integer(&session->json, "operations", probe.done);
  json_integer(&session->json, "own_checks", probe.checks);
  json_close(&session->json);
  session_stop(session);
}
