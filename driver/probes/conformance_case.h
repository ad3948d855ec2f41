/* conformance_case.h: what a case of conformance.c works with: calls to the allocator, a
 * short list of objects, and a way to say what is wrong.
 *
 * Each *object* is a block in a *place* of the list, filled with a pattern of its own: a
 * new block may share no byte with them, and when it is dropped each must be as it was
 * written. Blocks that stand beside the one that is tried are its *neighbours*.
 *
 * NULL says that there is no memory, which is no fault: a pool may be smaller than what
 * is asked for. The case ends there. After a fault its blocks are left as they are, since
 * to free what overlaps would be a fault of ours.
 *
 * For conformance.c alone: the state is its own.
 */
#ifndef ALLOCPHASE_CONFORMANCE_CASE_H
#define ALLOCPHASE_CONFORMANCE_CASE_H

#include "base/text.h"
#include "probes/conformance_findings.h"
#include "probes/pattern.h"
#include "progress.h"
#include "session.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define MOST_OBJECTS 96u

/* What a neighbour is filled with, at its beginning: what runs into it from the block
 * before comes there first, and an overlap is seen by the addresses. */
#define SAMPLE_BYTES (4 * KIB)

struct object {
  unsigned char *start; /* NULL: none */
  size_t size;
  size_t written; /* so many bytes have the pattern of the object's place in the list */
};

struct state {
  struct session *session;
  const struct allocphase_allocator *table;
  struct conformance *conformance;
  enum conformance_function tried; /* by this case */
  bool used[CONFORMANCE_FUNCTIONS]; /* by the trace */
  bool faulty[CONFORMANCE_FUNCTIONS];
  struct object objects[MOST_OBJECTS];
};

static struct state state;

static const char *const function_names[CONFORMANCE_FUNCTIONS] = {
    "malloc", "calloc", "realloc", "aligned_alloc", "free", "free_tagged", "usable_size",
    "thread exit",
};

/* ---- Findings ------------------------------------------------------------------------- */

static void describe(struct text *text, const char *what, const char *where, size_t size) {
  text_add(text, what);
  text_add(text, where);
  text_add(text, " (");
  text_add(text, function_names[state.tried]);
  text_add(text, ", ");
  text_add_number(text, size);
  text_add(text, " bytes)");
}

/* A finding of the function that is tried. Returns false, for the caller to return. */
static bool fault(const char *what, size_t size) {
  struct conformance *conformance = state.conformance;
  if (state.faulty[state.tried]) return false; /* one is told of each function */
  if (state.used[state.tried]) {
    static char line[128];
    struct text text = text_in(line, sizeof line);
    describe(&text, what, " in the conformance calls", size);
    session_end_early(state.session, "corrupt", line);
  }
  char *line = conformance->findings[conformance->finding_count++];
  struct text text = text_in(line, sizeof *conformance->findings);
  describe(&text, what, "", size);
  state.faulty[state.tried] = true;
  return false;
}

/* ---- Calls ---------------------------------------------------------------------------- */

static void enter(enum conformance_function function, size_t size) {
  state.conformance->calls++;
  progress_ask(function, size);
}

static void *ask_malloc(size_t size) {
  enter(CONFORMANCE_MALLOC, size);
  void *block = state.table->malloc(size);
  progress_answered();
  return block;
}

static void *ask_calloc(size_t count, size_t size) {
  enter(CONFORMANCE_CALLOC, count * size);
  void *block = state.table->calloc(count, size);
  progress_answered();
  return block;
}

static void *ask_realloc(void *old, size_t size) {
  enter(CONFORMANCE_REALLOC, size);
  void *block = state.table->realloc(old, size);
  progress_answered();
  return block;
}

static void *ask_aligned_alloc(size_t alignment, size_t size) {
  enter(CONFORMANCE_ALIGNED_ALLOC, size);
  void *block = state.table->aligned_alloc(alignment, size);
  progress_answered();
  return block;
}

static void ask_free(void *block, size_t size) {
  enter(CONFORMANCE_FREE, size);
  state.table->free(block);
  progress_answered();
}

static void *ask_malloc_tagged(size_t size, const struct allocphase_tag *tag) {
  enter(CONFORMANCE_MALLOC, size);
  void *block = state.table->malloc_tagged(size, tag);
  progress_answered();
  return block;
}

/* Whether it was refused. */
static bool ask_free_tagged(void *block, size_t size, const struct allocphase_tag *tag) {
  enter(CONFORMANCE_FREE_TAGGED, size);
  bool refused = state.table->free_tagged(block, tag) != 0;
  progress_answered();
  return refused;
}

static size_t ask_usable_size(const struct object *object) {
  enter(CONFORMANCE_USABLE_SIZE, object->size);
  size_t usable = state.table->usable_size(object->start);
  progress_answered();
  return usable;
}

/* ---- Objects -------------------------------------------------------------------------- */

static size_t least(size_t left, size_t right) { return left < right ? left : right; }

/* Up to `bytes`, from where it has been written. */
static void write_object(uint32_t place, size_t bytes) {
  struct object *object = &state.objects[place];
  size_t from = object->written;
  object->written = least(bytes, object->size);
  pattern_extend(object->start, from, object->written, place);
}

static bool meets_another(uint32_t place) {
  const struct object *objects = state.objects;
  uintptr_t start = (uintptr_t)objects[place].start, end = start + objects[place].size;
  if (end < start) end = UINTPTR_MAX;
  for (uint32_t p = 0; p < MOST_OBJECTS; p++) {
    uintptr_t other = (uintptr_t)objects[p].start;
    if (p != place && other && other < end && start < other + objects[p].size) return true;
  }
  return false;
}

/* Puts a block into the list, where the place has none or its old address. */
static bool put(uint32_t place, void *block, size_t size, size_t alignment) {
  state.objects[place].start = block;
  state.objects[place].size = size;
  if ((uintptr_t)block % alignment != 0) return fault("misaligned block", size);
  if (meets_another(place)) return fault("block overlaps a live one", size);
  return true;
}

/* What malloc, calloc and realloc owe. */
static size_t usual_alignment(size_t size) { return size <= 8 ? 8 : 16; }

/* The next four return false when the case has to end: at a fault, and without memory. */
static bool take(uint32_t place, size_t size, size_t written) {
  void *block = ask_malloc(size);
  if (!block || !put(place, block, size, usual_alignment(size))) return false;
  write_object(place, written);
  return true;
}

static bool take_neighbour(uint32_t place, size_t size) {
  return take(place, size, SAMPLE_BYTES);
}

static bool resize(uint32_t place, size_t size) {
  struct object *object = &state.objects[place];
  void *block = ask_realloc(object->start, size);
  if (!block) return false;
  object->written = least(object->written, size);
  if (!put(place, block, size, usual_alignment(size))) return false;
  if (!pattern_holds(object->start, object->written, place))
    return fault("realloc did not keep the content", size);
  write_object(place, size);
  return true;
}

static bool intact(uint32_t place) {
  const struct object *object = &state.objects[place];
  if (!object->start || pattern_holds(object->start, object->written, place)) return true;
  return fault("the object's content has changed", object->size);
}

static bool all_intact(void) {
  for (uint32_t place = 0; place < MOST_OBJECTS; place++)
    if (!intact(place)) return false;
  return true;
}

static bool drop(uint32_t place) {
  struct object *object = &state.objects[place];
  if (!object->start) return true;
  if (!intact(place)) return false;
  void *block = object->start;
  size_t size = object->size;
  *object = (struct object){0};
  ask_free(block, size);
  return true;
}

static bool drop_all(void) {
  for (uint32_t place = 0; place < MOST_OBJECTS; place++)
    if (!drop(place)) return false;
  return true;
}

/* After a step that returned false: was it for want of memory alone, so that the case may
 * go on with less? */
static bool may_go_on(void) { return !state.faulty[state.tried] && drop_all(); }

#endif
