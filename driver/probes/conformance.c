/* conformance.c: the calls that every allocator is asked to answer; see conformance.h.
 *
 * A *case* tries one function, with what conformance_case.h has for it. It returns at the
 * first fault, and where there is no memory; run_case() then looks at its objects again
 * and frees them.
 *
 * Sizes go up to 32 MiB, and all cases together use some 100 MiB: there are allocators that
 * never use memory again. Only where content must be kept is it written in full: a
 * page that is touched costs more than the call.
 */
#include "probes/conformance.h"

#include <pthread.h>

#include "base/system.h"
#include "base/text.h"
#include "probes/conformance_case.h"
#include "probes/pattern.h"

#define THREAD_STACK_BYTES MIB /* as team.c: a sanitizer's thread-local memory lies there */

/* ---- malloc and free ------------------------------------------------------------------- */

/* NULL and a block of no bytes are both right; one address for two live blocks is not,
 * since programs tell objects by their addresses. */
static void free_two_of_no_bytes(void *first, void *second) {
  if (first && first == second) {
    fault("two live blocks have one address", 0);
    return;
  }
  ask_free(first, 0);
  ask_free(second, 0);
}

static void malloc_of_nothing(void) { free_two_of_no_bytes(ask_malloc(0), ask_malloc(0)); }

/* Two of each size, half of them freed and taken again. */
static void malloc_of_all_sizes(void) {
  static const size_t sizes[] = {1, 8, 9, 16, 24, 65, 200, 1000, 5000, 40000, 300000, MIB + 1};
  enum { COUNT = sizeof sizes / sizeof *sizes };
  for (uint32_t i = 0; i < 2 * COUNT; i++)
    if (!take(i, sizes[i / 2], sizes[i / 2])) return;
  for (uint32_t i = 0; i < 2 * COUNT; i += 2)
    if (!drop(i)) return;
  for (uint32_t i = 0; i < 2 * COUNT; i += 2)
    if (!take(i, sizes[i / 2], sizes[i / 2])) return;
}

/* More than any process can have; sizes to which nothing can be added, too. */
static const size_t too_much[] = {
    SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4095, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, SIZE_MAX / 16,
};
#define TOO_MUCH (sizeof too_much / sizeof *too_much)
static const char too_large[] = "a block larger than memory";

static void malloc_of_too_much(void) {
  for (size_t i = 0; i < TOO_MUCH; i++)
    if (ask_malloc(too_much[i])) {
      fault(too_large, too_much[i]);
      return;
    }
}

/* ---- Threads --------------------------------------------------------------------------- */

static void *thread_main(void *argument) {
  void (*body)(void);
  memcpy(&body, argument, sizeof body);
  if (state.table->thread_start) state.table->thread_start();
  body();
  if (state.table->thread_stop) state.table->thread_stop();
  return NULL;
}

/* Returns when the thread has ended, and with it what a library does at its end. */
static bool run_in_thread(void (*body)(void)) {
  pthread_t thread;
  pthread_attr_t attributes;
  void *stack = take_pages(THREAD_STACK_BYTES);
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, THREAD_STACK_BYTES);
  int error = pthread_create(&thread, &attributes, thread_main, &body);
  pthread_attr_destroy(&attributes);
  if (!error) pthread_join(thread, NULL);
  give_pages(stack, THREAD_STACK_BYTES);
  return !error;
}

static const size_t thread_sizes[] = {16, 24, 40, 100, 200, 500, 1000, 3000, 9000, 40000, 300000};
#define THREAD_OBJECTS (2 * sizeof thread_sizes / sizeof *thread_sizes)
_Static_assert(3 * THREAD_OBJECTS <= MOST_OBJECTS, "those of a thread, and those of two others");

static bool take_thread_objects(uint32_t from) {
  for (uint32_t i = 0; i < THREAD_OBJECTS; i++)
    if (!take(from + i, thread_sizes[i / 2], thread_sizes[i / 2])) return false;
  return true;
}

static bool drop_thread_objects(uint32_t from) {
  for (uint32_t i = 0; i < THREAD_OBJECTS; i++)
    if (!drop(from + i)) return false;
  return true;
}

static void take_in_thread(void) { (void)take_thread_objects(0); }
static void take_in_second_thread(void) { (void)take_thread_objects(THREAD_OBJECTS); }
static void take_in_third_thread(void) { (void)take_thread_objects(2 * THREAD_OBJECTS); }
static void replace_in_thread(void) { (void)(drop_thread_objects(0) && take_thread_objects(0)); }

static bool end_thread(void (*body)(void)) { return run_in_thread(body) && all_intact(); }

/* The blocks of a thread outlive it, and so does what it has freed for others. */
static void blocks_of_a_dead_thread(void) {
  if (!end_thread(take_in_thread)) return;
  if (!take_thread_objects(THREAD_OBJECTS) || !all_intact()) return;
  if (!end_thread(replace_in_thread) || !drop_thread_objects(THREAD_OBJECTS)) return;
  (void)(take_thread_objects(THREAD_OBJECTS) && all_intact());
}

/* One after the other, so that what a dead one has left may be another's by then. */
static void blocks_of_dead_threads(void) {
  if (!end_thread(take_in_thread) || !end_thread(take_in_second_thread)) return;
  if (!end_thread(take_in_third_thread) || !end_thread(replace_in_thread)) return;
  if (!drop_thread_objects(THREAD_OBJECTS) || !all_intact()) return;
  (void)(end_thread(take_in_second_thread) && end_thread(replace_in_thread));
}

/* ---- calloc ---------------------------------------------------------------------------- */

static void calloc_of_nothing(void) {
  free_two_of_no_bytes(ask_calloc(0, 16), ask_calloc(16, 0));
}

static void calloc_of_too_much(void) {
  static const size_t products[][2] = {
      {SIZE_MAX / 2 + 2, 2}, {SIZE_MAX / 16 + 2, 16}, {16, SIZE_MAX / 16 + 2},
      {(size_t)1 << 32, (size_t)1 << 32}, {SIZE_MAX, SIZE_MAX},
      {1, SIZE_MAX}, {SIZE_MAX, 1}, {PTRDIFF_MAX, 1},
  };
  for (size_t i = 0; i < sizeof products / sizeof *products; i++)
    if (ask_calloc(products[i][0], products[i][1])) {
      bool wraps = products[i][0] > SIZE_MAX / products[i][1];
      fault(wraps ? "a block for a product that wraps around" : too_large,
            products[i][0] * products[i][1]);
      return;
    }
}

/* Of longer blocks a byte here and there is written and looked at. */
#define DENSE_BYTES MIB
#define SPARSE_STEP (64 * KIB)
#define LARGEST_ZEROED (32 * MIB)

static void make_dirty(unsigned char *block, size_t size) {
  if (size <= DENSE_BYTES) memset(block, 0xff, size);
  else
    for (size_t at = 0; at < size; at += SPARSE_STEP) block[at] = 0xff;
  block[size - 1] = 0xff;
}

static bool is_clean(const unsigned char *block, size_t size) {
  if (size <= DENSE_BYTES) return is_zero(block, size);
  for (size_t at = 0; at < size; at += SPARSE_STEP)
    if (block[at]) return false;
  return block[size - 1] == 0;
}

static bool take_dirty(uint32_t place, size_t size) {
  if (!take(place, size, 0)) return false;
  make_dirty(state.objects[place].start, size);
  return true;
}

/* Of bytes, of words, or of one thing: who multiplies may treat them apart. */
static bool take_zeroed(uint32_t place, size_t size, size_t unit) {
  void *block = ask_calloc(size / unit, unit);
  if (!block || !put(place, block, size, usual_alignment(size))) return false;
  if (!is_clean(block, size)) return fault("calloc's block is not zero", size);
  make_dirty(block, size);
  return true;
}

/* Over one block, and over two; what calloc gave is used, freed, and asked for again. */
static bool calloc_over(size_t size) {
  uint32_t count = size > 64 * KIB ? 1 : 2;
  for (uint32_t i = 0; i < count; i++)
    if (!take_dirty(i, size)) return false;
  if (!drop_all()) return false;
  const size_t units[] = {8, size, 1};
  for (int u = 0; u < (size > 64 * KIB ? 2 : 3); u++) {
    for (uint32_t i = 0; i < count; i++)
      if (!take_zeroed(i, size, units[u])) return false;
    if (!drop_all()) return false;
  }
  return true;
}

/* Downwards, so that a smaller block may be cut out of a larger one that was used. */
static void calloc_over_used_memory(void) {
  for (size_t size = LARGEST_ZEROED; size >= 16; size /= 2) {
    if (!calloc_over(size) && !may_go_on()) return;
    if (!calloc_over((size / 4 * 3) & ~(size_t)7) && !may_go_on()) return;
  }
}

/* Out of neighbours that were freed, and may be one block by then. */
static bool calloc_over_neighbours(size_t size) {
  for (uint32_t i = 0; i < 8; i++)
    if (!take_dirty(i, size)) return false;
  return drop_all() && take_zeroed(0, 8 * size, 8) && take_zeroed(1, size, 8) && drop_all();
}

static void calloc_over_merged_memory(void) {
  for (size_t size = 16; size <= MIB; size *= 4)
    if (!calloc_over_neighbours(size) || !calloc_over_neighbours(size + size / 2)) return;
}

/* Where another function had its block. */
static bool calloc_over_resized(size_t size) {
  if (!state.table->realloc || state.faulty[CONFORMANCE_REALLOC]) return true;
  if (!take_dirty(0, size)) return false;
  void *block = ask_realloc(state.objects[0].start, 2 * size);
  if (!block || !put(0, block, 2 * size, usual_alignment(size))) return false;
  make_dirty(block, 2 * size);
  return drop_all() && take_zeroed(0, 2 * size, 8) && take_zeroed(1, size, 8) && drop_all();
}

static bool calloc_over_aligned(size_t size) {
  if (!state.table->aligned_alloc || state.faulty[CONFORMANCE_ALIGNED_ALLOC]) return true;
  void *block = ask_aligned_alloc(64, size);
  if (!block || !put(0, block, size, 8)) return false;
  make_dirty(block, size);
  return drop_all() && take_zeroed(0, size, 8) && take_zeroed(1, size, 8) && drop_all();
}

static void calloc_over_others_memory(void) {
  for (size_t size = 64; size <= 256 * KIB; size *= 4)
    if (!calloc_over_resized(size) || !calloc_over_aligned(size)) return;
}

/* ---- realloc --------------------------------------------------------------------------- */

#define LARGEST (16 * MIB)

/* Past a new neighbour at each step, so that it has to move or to grow elsewhere. */
static void realloc_that_grows(void) {
  void *block = ask_realloc(NULL, 16);
  if (!block || !put(0, block, 16, 16)) return;
  write_object(0, 16);
  uint32_t neighbour = 0;
  for (size_t size = 32; size <= LARGEST; size *= size < MIB ? 2 : 16)
    if (!take_neighbour(++neighbour, 48) || !resize(0, size)) return;
}

/* What a block gives away is taken at once, by one as long as that and by short ones;
 * then it wants to be as long as it was. */
static bool shrink_and_grow(size_t size) {
  return take(0, size, size) && take_neighbour(1, 24) && resize(0, size / 2) &&
         take_neighbour(2, size / 2 - 16) && take_neighbour(3, 16) &&
         take_neighbour(4, size / 4) && all_intact() && resize(0, size) && all_intact() &&
         resize(0, 16) && take_neighbour(5, size - 32) && take_neighbour(6, 16) && all_intact() &&
         resize(0, least(size, MIB)) && all_intact() && drop_all();
}

/* By an eighth, by half and by seven eighths; back to less than it was, and beyond. What
 * lies behind is taken each time, by one block and by several. */
static bool shrink_a_little(size_t size) {
  uint32_t neighbour = 1;
  if (!take(0, size, size) || !take_neighbour(neighbour++, 24)) return false;
  for (size_t part = 7; part > 0; part /= 2) {
    size_t kept = size / 8 * part, given = size - kept;
    if (!resize(0, kept)) return false;
    if (given > 32 && !take_neighbour(neighbour++, given - 16)) return false;
    for (int i = 0; i < 3; i++)
      if (!take_neighbour(neighbour++, given / 4 + 1)) return false;
    if (!all_intact() || !resize(0, kept + given / 2) || !all_intact()) return false;
    if (!resize(0, size) || !all_intact()) return false;
  }
  return resize(0, size + size / 2) && all_intact() && resize(0, 16) &&
         take_neighbour(neighbour++, size / 2) && resize(0, size / 4 * 3) && all_intact() &&
         drop_all();
}

/* What it gave away first is behind what it gives away then. */
static bool shrink_twice(size_t size) {
  size_t part = size / 4;
  return take(0, size, size) && take_neighbour(1, 24) && resize(0, 3 * part) &&
         take_neighbour(2, part > 16 ? part - 16 : part) && resize(0, part) &&
         take_neighbour(3, part) && take_neighbour(4, part / 2) && all_intact() &&
         resize(0, 2 * part) && all_intact() && resize(0, 3 * part) && all_intact() &&
         resize(0, size) && all_intact() && drop_all();
}

static void realloc_that_shrinks(void) {
  static const size_t odd[] = {48,   100,   200,   640,   1000,   3000,   4096,
                               5000, 20000, 70000, 140000, 300000};
  for (size_t size = 64; size <= 8 * MIB; size *= size < MIB ? 4 : 8)
    if (!shrink_and_grow(size) && !may_go_on()) return;
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
    if ((!shrink_a_little(odd[i]) || !shrink_twice(odd[i])) && !may_go_on()) return;
}

static void realloc_to_too_much(void) {
  if (!take(0, 5000, 5000)) return;
  for (size_t i = 0; i < TOO_MUCH; i++) {
    if (ask_realloc(state.objects[0].start, too_much[i])) {
      fault(too_large, too_much[i]);
      return;
    }
    if (!intact(0)) return;
  }
}

/* ---- aligned_alloc --------------------------------------------------------------------- */

/* C11 wants a multiple of the alignment. */
static bool take_aligned(uint32_t place, size_t alignment, size_t size) {
  size = (size + alignment - 1) & ~(alignment - 1);
  void *block = ask_aligned_alloc(alignment, size);
  if (!block || !put(place, block, size, alignment)) return false;
  write_object(place, SAMPLE_BYTES);
  return true;
}

/* With plain ones between them, so that none is aligned by chance. */
static bool align(size_t alignment) {
  return take_aligned(0, alignment, alignment) && take_neighbour(1, 40) &&
         take_aligned(2, alignment, 2 * alignment) && take_aligned(3, alignment, 3 * alignment) &&
         take_neighbour(4, 40) && take_aligned(5, alignment, 70000) &&
         take_aligned(6, alignment, alignment) && drop_all();
}

/* As traces have them; and once more, of memory that was used. */
static void aligned_alloc_of_all_alignments(void) {
  for (uint32_t log2 = TRACE_MIN_ALIGN_LOG2; log2 <= TRACE_MAX_ALIGN_LOG2; log2++)
    for (int turn = 0; turn < 2; turn++)
      if (!align((size_t)1 << log2)) return;
}

static void aligned_alloc_of_too_much(void) {
  for (size_t i = 0; i < TOO_MUCH; i++)
    for (size_t alignment = 64; alignment <= 4096; alignment *= 64)
      if (ask_aligned_alloc(alignment, too_much[i] & ~(alignment - 1))) {
        fault(too_large, too_much[i] & ~(alignment - 1));
        return;
      }
}

/* ---- free_tagged ----------------------------------------------------------------------- */

static void free_for_another_domain(void) {
  static const struct allocphase_tag own = {1, 1, 0}, other = {1, 2, 0};
  size_t size = 200;
  void *block = ask_malloc_tagged(size, &own);
  if (!block || !put(0, block, size, 16)) return;
  write_object(0, size);
  if (!ask_free_tagged(block, size, &other)) {
    fault("freed by a foreign domain", size);
    return;
  }
  if (!intact(0)) return;
  state.objects[0] = (struct object){0};
  if (ask_free_tagged(block, size, &own)) fault("the block's own domain was refused", size);
}

/* ---- usable_size ----------------------------------------------------------------------- */

/* What the allocator says may be used is used: first as a claim alone, since what is
 * written where it may not be could end the process. */
static bool is_written;

static bool use_all_of(uint32_t place) {
  struct object *object = &state.objects[place];
  size_t asked = object->size, usable = ask_usable_size(object);
  if (usable < asked) return fault("usable_size is smaller than what was asked for", asked);
  object->size = usable;
  if (meets_another(place)) return fault("usable_size reaches into a live block", asked);
  if (is_written) write_object(place, usable);
  return true;
}

/* What comes to lie beside them later may not meet them either. */
static bool use_three(size_t size) {
  return use_all_of(0) && use_all_of(1) && use_all_of(2) && take_neighbour(3, size) &&
         take_neighbour(4, size) && take_neighbour(5, 24) && all_intact() && drop_all();
}

static void usable_size_of_neighbours(void) {
  static const size_t sizes[] = {1,    8,     24,    40,     64,  100,     256,    500,    1000,
                                 4000, 10000, 70000, 130000, 300000, 600000, 2 * MIB};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int turn = 0; turn < 2; turn++) /* of new blocks, and of blocks that were free */
      if (!take(0, sizes[i], 0) || !take(1, sizes[i], 0) || !take(2, sizes[i], 0) ||
          !use_three(sizes[i]))
        return;
}

static void usable_size_of_aligned_blocks(void) {
  if (!state.table->aligned_alloc || state.faulty[CONFORMANCE_ALIGNED_ALLOC]) return;
  for (size_t alignment = 32; alignment <= 64 * KIB; alignment *= 2)
    if (!take_aligned(0, alignment, alignment) || !take_aligned(1, alignment, alignment) ||
        !take_aligned(2, alignment, alignment) || !use_three(alignment))
      return;
}

/* Grown, and shrunk again: what is usable is no longer what malloc gave. */
static void usable_size_of_resized_blocks(void) {
  if (!state.table->realloc || state.faulty[CONFORMANCE_REALLOC]) return;
  for (size_t size = 32; size <= 128 * KIB; size *= 4)
    for (uint32_t i = 0; i < 3; i++)
      if (!take(i, size, size) || !resize(i, 3 * size) || (i == 1 && !resize(i, size / 2)) ||
          (i == 2 && !use_three(size)))
        return;
}

static void usable_size_of_all(bool written) {
  is_written = written;
  usable_size_of_neighbours();
  if (may_go_on()) usable_size_of_aligned_blocks();
  if (may_go_on()) usable_size_of_resized_blocks();
}

static void claims_of_usable_size(void) { usable_size_of_all(false); }
static void uses_of_usable_size(void) { usable_size_of_all(true); }

/* ---- All of them ----------------------------------------------------------------------- */

/* What every trace uses comes first: a block that another function has damaged would be
 * found there, too. */
static const struct {
  enum conformance_function tried;
  void (*run)(void);
} cases[] = {
    {CONFORMANCE_MALLOC, malloc_of_nothing},
    {CONFORMANCE_MALLOC, malloc_of_all_sizes},
    {CONFORMANCE_MALLOC, malloc_of_too_much},
    {CONFORMANCE_THREAD_EXIT, blocks_of_a_dead_thread},
    {CONFORMANCE_THREAD_EXIT, blocks_of_dead_threads},
    {CONFORMANCE_CALLOC, calloc_of_nothing},
    {CONFORMANCE_CALLOC, calloc_over_used_memory},
    {CONFORMANCE_CALLOC, calloc_over_merged_memory},
    {CONFORMANCE_CALLOC, calloc_over_others_memory},
    {CONFORMANCE_CALLOC, calloc_of_too_much},
    {CONFORMANCE_REALLOC, realloc_that_grows},
    {CONFORMANCE_REALLOC, realloc_that_shrinks},
    {CONFORMANCE_REALLOC, realloc_to_too_much},
    {CONFORMANCE_ALIGNED_ALLOC, aligned_alloc_of_all_alignments},
    {CONFORMANCE_ALIGNED_ALLOC, aligned_alloc_of_too_much},
    {CONFORMANCE_FREE_TAGGED, free_for_another_domain},
    {CONFORMANCE_USABLE_SIZE, claims_of_usable_size},
    {CONFORMANCE_USABLE_SIZE, uses_of_usable_size},
};

static bool is_emulated(const struct subject *subject, const char *name) {
  for (int i = 0; i < subject->emulated_count; i++)
    if (strcmp(subject->emulated[i], name) == 0) return true;
  return false;
}

/* What the driver does in its place is not the allocator's. */
static bool provides(enum conformance_function function) {
  const struct subject *subject = &state.session->subject;
  switch (function) {
  case CONFORMANCE_CALLOC: return !is_emulated(subject, "calloc");
  case CONFORMANCE_REALLOC: return state.table->realloc != NULL;
  case CONFORMANCE_ALIGNED_ALLOC: return state.table->aligned_alloc != NULL;
  case CONFORMANCE_FREE_TAGGED: return state.table->malloc_tagged && state.table->free_tagged;
  case CONFORMANCE_USABLE_SIZE: return state.table->usable_size != NULL;
  case CONFORMANCE_THREAD_EXIT:
    return subject->locked || (state.table->flags & ALLOCPHASE_THREAD_SAFE);
  default: return true;
  }
}

static void see_what_is_used(const struct trace *trace) {
  for (uint64_t i = 0; i < trace->header->op_count; i++) {
    const struct trace_op *op = &trace->ops[i];
    if (op->kind <= TRACE_FREE) state.used[op->kind] = true;
    if (op->tag && (op->kind == TRACE_FREE || op->kind == TRACE_FREE_FOREIGN))
      state.used[CONFORMANCE_FREE_TAGGED] = true;
  }
  state.used[CONFORMANCE_MALLOC] = state.used[CONFORMANCE_FREE] = true; /* by every program */
  state.used[CONFORMANCE_THREAD_EXIT] = true;
}

static void run_case(enum conformance_function tried, void (*run)(void)) {
  state.tried = tried;
  if (!provides(tried) || state.faulty[tried]) return;
  run();
  if (!state.faulty[tried]) drop_all();
  memset(state.objects, 0, sizeof state.objects);
}

void conformance_run(struct session *session, struct conformance *conformance) {
  const struct allocphase_allocator *table = &session->subject.table;
  state.session = session;
  state.table = table;
  state.conformance = conformance;
  see_what_is_used(&session->trace);
  if (table->thread_start) table->thread_start();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) run_case(cases[i].tried, cases[i].run);
  if (table->thread_stop) table->thread_stop();
}

void conformance_fail(struct session *session, const char *what) {
  static char line[320];
  struct text text = text_in(line, sizeof line);
  text_add(&text, what);
  text_add(&text, " after the conformance calls");
  session_end_early(session, "corrupt", line);
}

void conformance_report(const struct conformance *conformance, struct json *json) {
  json_integer(json, "conformance_calls", conformance->calls);
  json_open_array(json, "conformance");
  for (uint32_t i = 0; i < conformance->finding_count; i++)
    json_string(json, NULL, conformance->findings[i]);
  json_close_array(json);
}
