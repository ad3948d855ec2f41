#include "subject.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/lock.h"
#include "base/text.h"
#include "plugin.h"

/* ---- Where a function comes from --------------------------------------------- */

typedef void *allocator_function;

#define CACHE_LINE_BYTES 64u

static const char *object_of(allocator_function function) {
  Dl_info info;
  return dladdr(function, &info) && info.dli_fname ? info.dli_fname : "(unknown)";
}

static bool same_file(const char *left, const char *right) {
  struct stat a, b;
  return stat(left, &a) == 0 && stat(right, &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

/* A preload that ld.so ignored, and a library that replaces only half of the
 * interface, would both be measured under another allocator's name. */
static bool prove_provider(const struct options *options, struct refusal *refusal) {
  static const char *const names[] = {"malloc", "free", "calloc", "realloc", "aligned_alloc"};
  const char *expected = options->subject == SUBJECT_PRELOAD
                             ? options->subject_path
                             : object_of(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"));
  for (int i = 0; i < 5; i++) {
    const char *actual = object_of(dlsym(RTLD_DEFAULT, names[i]));
    if (same_file(actual, expected)) continue;
    struct text text = text_in(refusal->message, sizeof refusal->message);
    refusal->status = "wrong-allocator";
    text_add(&text, names[i]);
    text_add(&text, " is served by ");
    text_add(&text, actual);
    text_add(&text, ", not by ");
    text_add(&text, expected);
    return false;
  }
  return true;
}

/* ---- The table ----------------------------------------------------------------- */

static int no_init(const struct allocphase_config *config) {
  (void)config;
  return 0;
}

static void no_fini(void) {}

/* Looked up at run time: a direct reference would let the compiler treat malloc
 * as the malloc it knows, and delete pairs. */
static void take_process_malloc(struct allocphase_allocator *table) {
  *table = (struct allocphase_allocator){
      .abi_version = ALLOCPHASE_ABI_VERSION,
      .flags = ALLOCPHASE_THREAD_SAFE,
      .init = no_init,
      .fini = no_fini,
  };
  *(allocator_function *)&table->malloc = dlsym(RTLD_DEFAULT, "malloc");
  *(allocator_function *)&table->free = dlsym(RTLD_DEFAULT, "free");
  *(allocator_function *)&table->calloc = dlsym(RTLD_DEFAULT, "calloc");
  *(allocator_function *)&table->realloc = dlsym(RTLD_DEFAULT, "realloc");
  *(allocator_function *)&table->aligned_alloc = dlsym(RTLD_DEFAULT, "aligned_alloc");
  allocator_function usable_size = dlsym(RTLD_DEFAULT, "malloc_usable_size");
  /* A preload may have none: then this is libc's, which knows nothing of its blocks. */
  if (usable_size &&
      same_file(object_of(usable_size), object_of(*(allocator_function *)&table->malloc)))
    *(allocator_function *)&table->usable_size = usable_size;
}

static bool take_plugin(struct subject *subject, const char *path, struct refusal *refusal) {
  struct plugin plugin;
  struct text reason = text_in(refusal->message, sizeof refusal->message);
  refusal->status = "unsupported";
  if (!plugin_load(&plugin, path, &reason)) return false;
  subject->table = plugin.table;
  subject->tls_module = plugin.tls_module;
  return true;
}

/* ---- What the driver adds -------------------------------------------------------- */

static struct allocphase_allocator original; /* the table as the allocator gave it */

static void *emulated_calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
  void *block = original.malloc(bytes);
  return block ? memset(block, 0, bytes) : NULL;
}

static void emulate_what_is_absent(struct subject *subject) {
  if (!subject->table.calloc) {
    subject->table.calloc = emulated_calloc;
    subject->emulated[subject->emulated_count++] = "calloc";
  }
  if (!subject->table.realloc) subject->emulated[subject->emulated_count++] = "realloc";
  if (!subject->table.aligned_alloc)
    subject->emulated[subject->emulated_count++] = "aligned_alloc";
}

static uint32_t big_lock;
static struct allocphase_allocator unlocked;

_Thread_local volatile uint8_t *subject_gate;
_Thread_local bool subject_waited;

static inline void take_lock(void) { subject_waited = lock_take(&big_lock); }
static inline void drop_lock(void) { subject_waited |= lock_drop(&big_lock); }

static inline void with_gate_closed(void (*step)(void)) {
  volatile uint8_t *gate = subject_gate;
  uint8_t was = gate ? *gate : 0;
  if (gate) *gate = 0;
  step();
  if (gate) *gate = was;
}

#define UNDER_LOCK(type, call)  \
  with_gate_closed(take_lock);  \
  type result = unlocked.call;  \
  with_gate_closed(drop_lock);  \
  return result
#define UNDER_LOCK_VOID(call)   \
  with_gate_closed(take_lock);  \
  unlocked.call;                \
  with_gate_closed(drop_lock)

static void *locked_malloc(size_t size) { UNDER_LOCK(void *, malloc(size)); }
static void locked_free(void *block) { UNDER_LOCK_VOID(free(block)); }
static void *locked_calloc(size_t count, size_t size) { UNDER_LOCK(void *, calloc(count, size)); }
static void *locked_realloc(void *block, size_t size) { UNDER_LOCK(void *, realloc(block, size)); }
static void *locked_aligned_alloc(size_t alignment, size_t size) {
  UNDER_LOCK(void *, aligned_alloc(alignment, size));
}
static void *locked_malloc_tagged(size_t size, const struct allocphase_tag *tag) {
  UNDER_LOCK(void *, malloc_tagged(size, tag));
}
static int locked_free_tagged(void *block, const struct allocphase_tag *tag) {
  UNDER_LOCK(int, free_tagged(block, tag));
}
static size_t locked_usable_size(const void *block) { UNDER_LOCK(size_t, usable_size(block)); }
static const char *locked_check(void) { UNDER_LOCK(const char *, check()); }
static void locked_thread_start(void) { UNDER_LOCK_VOID(thread_start()); }
static void locked_thread_stop(void) { UNDER_LOCK_VOID(thread_stop()); }

static void put_behind_lock(struct subject *subject) {
  struct allocphase_allocator *table = &subject->table;
  unlocked = *table;
  subject->locked = true;
  table->malloc = locked_malloc;
  table->free = locked_free;
  table->calloc = locked_calloc;
  if (table->realloc) table->realloc = locked_realloc;
  if (table->aligned_alloc) table->aligned_alloc = locked_aligned_alloc;
  if (table->malloc_tagged) table->malloc_tagged = locked_malloc_tagged;
  if (table->free_tagged) table->free_tagged = locked_free_tagged;
  if (table->usable_size) table->usable_size = locked_usable_size;
  if (table->check) table->check = locked_check;
  if (table->thread_start) table->thread_start = locked_thread_start;
  if (table->thread_stop) table->thread_stop = locked_thread_stop;
}

/* ---- Interface -------------------------------------------------------------------- */

bool subject_load(struct subject *subject, const struct options *options, uint32_t threads,
                  struct refusal *refusal) {
  *subject = (struct subject){0};
  if (options->subject == SUBJECT_PLUGIN) {
    if (!take_plugin(subject, options->subject_path, refusal)) return false;
  } else {
    if (!prove_provider(options, refusal)) return false;
    take_process_malloc(&subject->table);
  }
  original = subject->table;
  subject->provider = object_of(*(allocator_function *)&subject->table.malloc);
  emulate_what_is_absent(subject);
  if (threads > 1 && !(subject->table.flags & ALLOCPHASE_THREAD_SAFE)) put_behind_lock(subject);
  return true;
}

bool subject_init(struct subject *subject, const struct options *options,
                  struct refusal *refusal) {
  struct allocphase_config config = {options->settings, options->setting_count};
  int error = subject->table.init(&config);
  if (error == 0) return true;
  struct text reason = text_in(refusal->message, sizeof refusal->message);
  refusal->status = error == ENOMEM ? "out-of-memory" : "unsupported";
  plugin_explain_init(&config, error, &reason);
  return false;
}

/* The largest power of two, up to a cache line, that divides every function's address:
 * below a line, layout alone may move times. */
static uint64_t function_alignment(void) {
  uintptr_t addresses = CACHE_LINE_BYTES;
  addresses |= (uintptr_t)original.malloc | (uintptr_t)original.free;
  addresses |= (uintptr_t)original.calloc | (uintptr_t)original.realloc;
  addresses |= (uintptr_t)original.aligned_alloc;
  return addresses & -addresses;
}

void subject_thread_prepare(const struct subject *subject) {
  plugin_prepare_thread(subject->tls_module);
}

void subject_describe(const struct subject *subject, struct json *json) {
  json_string(json, "provider", subject->provider);
  json_integer(json, "function_alignment_bytes", function_alignment());
  json_bool(json, "thread_safe", (subject->table.flags & ALLOCPHASE_THREAD_SAFE) != 0);
  json_bool(json, "locked", subject->locked);
  json_open_array(json, "emulated");
  for (int i = 0; i < subject->emulated_count; i++) json_string(json, NULL, subject->emulated[i]);
  json_close_array(json);
}

/* A faulty allocator may never stop, or hand over a name without an end. */
#define MAX_STATS 1000
#define STAT_NAME_BYTES 120

struct stats {
  struct json *json;
  uint64_t count;
};

static void add_stat(void *context, const char *name, double value) {
  struct stats *stats = context;
  char bounded[STAT_NAME_BYTES];
  struct text text = text_in(bounded, sizeof bounded);
  text_add(&text, name ? name : "unnamed");
  if (stats->count++ < MAX_STATS) json_double(stats->json, bounded, value);
}

void subject_stats(const struct subject *subject, struct json *json) {
  struct stats stats = {json, 0};
  json_open(json, "allocator_stats");
  if (subject->table.stats) subject->table.stats(add_stat, &stats);
  json_close(json);
  if (stats.count > MAX_STATS)
    json_integer(json, "allocator_stats_dropped", stats.count - MAX_STATS);
}
