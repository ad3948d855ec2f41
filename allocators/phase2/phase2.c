/* phase2: a slab allocator whose every slab is a mapping of its own.
 *
 * A *slab* holds `objects_per_slab` objects of one *size class*; each class keeps
 * the slabs that have a free object in a list, its *cache*. An object's address
 * does not tell its slab (mappings lie where the kernel puts them), so a *prefix*
 * before each object points to it.
 *
 *     | slab header | prefix | object | prefix | object | ...
 *
 * With objects_per_slab = 1, the default and what the report ran, the caches are
 * always empty: each malloc is one mmap, each free one munmap, nothing is used
 * again, and an object of 8 bytes takes a page. Larger slabs show the way from
 * there to an allocator that asks the system seldom.
 *
 * A slab goes back to the system with its last object. To keep one empty slab for
 * each class would save most calls, and would hide what this design costs.
 * Requests above `LARGEST_CLASS_BYTES` and those with an alignment above 16 get a
 * slab for one object, whatever the setting.
 */
#include "os.h"

#include "../blocks.h"
#include "../mapped.h"
#include "allocphase.h"
#include "settings.h"

#define LARGEST_CLASS_BYTES ((size_t)32768)
#define CLASSES 40u

static size_t objects_per_slab = 1;

static const struct setting settings[] = {
    {"objects_per_slab", .whole = &objects_per_slab, .least = 1, .most = 65536},
};

struct object { /* a free one, and what becomes the prefix and the block */
  struct slab *slab;
  struct object *next_free; /* meaningless in a live one */
};

/* Invariants:
 *   - a slab has at least one live object, and free_objects lists the others;
 *   - it is in the cache of its class while it has a free object, and only then;
 *   - the live objects of all slabs are live_objects. */
struct slab {
  struct object *free_objects;
  struct slab *next; /* in the cache; NULL at its ends */
  struct slab *previous;
  size_t object_bytes; /* usable, without the prefix */
  size_t capacity;
  size_t live;
  unsigned class; /* CLASSES: made for one object that fits none */
  bool cached;
  size_t reserved;
};

_Static_assert(sizeof(struct object) == BLOCK_ALIGNMENT, "a block follows its prefix");
_Static_assert(sizeof(struct slab) % BLOCK_ALIGNMENT == 0, "the first object is aligned");

static struct slab *caches[CLASSES];
static struct mapped_list slabs;
static size_t live_objects, slabs_made, objects_made;

static int phase2_init(const struct allocphase_config *config) {
  return settings_read(config, settings, sizeof settings / sizeof *settings);
}

static void phase2_fini(void) { mapped_free_all(&slabs); }

/* ---- Caches ------------------------------------------------------------------------ */

static void cache_insert(struct slab *slab) {
  struct slab **head = &caches[slab->class];
  slab->previous = NULL;
  slab->next = *head;
  if (*head != NULL) (*head)->previous = slab;
  *head = slab;
  slab->cached = true;
}

static void cache_remove(struct slab *slab) {
  if (slab->previous != NULL) slab->previous->next = slab->next;
  else caches[slab->class] = slab->next;
  if (slab->next != NULL) slab->next->previous = slab->previous;
  slab->cached = false;
}

/* ---- Slabs ------------------------------------------------------------------------- */

/* The only system call of malloc. The memory comes zeroed. */
static struct slab *slab_map(size_t object_bytes, size_t capacity, size_t slack) {
  size_t stride = sizeof(struct object) + object_bytes;
  struct slab *slab =
      mapped_new(&slabs, BLOCK_ALIGNMENT, sizeof(struct slab) + slack + capacity * stride);
  if (slab == NULL) return NULL;
  slab->object_bytes = object_bytes;
  slab->capacity = capacity;
  slab->class = CLASSES;
  slabs_made++;
  return slab;
}

/* Threads the free list so that objects are handed out in address order. */
static struct slab *slab_of_class(unsigned class) {
  size_t bytes = class_bytes(class);
  struct slab *slab = slab_map(bytes, objects_per_slab, 0);
  if (slab == NULL) return NULL;
  char *first = (char *)(slab + 1);
  for (size_t i = objects_per_slab; i-- > 0;) {
    struct object *object = (struct object *)(first + i * (sizeof *object + bytes));
    object->slab = slab;
    object->next_free = slab->free_objects;
    slab->free_objects = object;
  }
  slab->class = class;
  cache_insert(slab);
  return slab;
}

/* ---- malloc and free --------------------------------------------------------------- */

static struct object *object_before(const void *block) {
  return (struct object *)(uintptr_t)block - 1;
}

static void *take_from_cache(unsigned class) {
  struct slab *slab = caches[class] != NULL ? caches[class] : slab_of_class(class);
  if (slab == NULL) return NULL;
  struct object *object = slab->free_objects;
  slab->free_objects = object->next_free;
  slab->live++;
  if (slab->free_objects == NULL) cache_remove(slab);
  return object + 1;
}

static void *take_alone(size_t alignment, size_t size) {
  struct slab *slab = slab_map(size, 1, alignment);
  if (slab == NULL) return NULL;
  char *block = align_pointer((char *)(slab + 1) + sizeof(struct object), alignment);
  object_before(block)->slab = slab;
  slab->live = 1;
  return block;
}

static void *allocate(size_t alignment, size_t size) {
  if (!request_is_valid(alignment, size)) return NULL;
  alignment = block_alignment(alignment);
  bool alone = alignment > BLOCK_ALIGNMENT || size > LARGEST_CLASS_BYTES;
  void *block = alone ? take_alone(alignment, size) : take_from_cache(class_of(size));
  if (block == NULL) return NULL;
  live_objects++;
  objects_made++;
  return block;
}

static void *phase2_malloc(size_t size) { return allocate(BLOCK_ALIGNMENT, size); }

static void phase2_free(void *block) {
  if (block == NULL) return;
  struct object *object = object_before(block);
  struct slab *slab = object->slab;
  live_objects--;
  if (--slab->live == 0) {
    if (slab->cached) cache_remove(slab);
    mapped_free(&slabs, slab);
    return;
  }
  object->next_free = slab->free_objects;
  slab->free_objects = object;
  if (!slab->cached) cache_insert(slab);
}

/* ---- What follows from them -------------------------------------------------------- */

static size_t phase2_usable_size(const void *block) {
  return object_before(block)->slab->object_bytes;
}

/* An object alone in its slab lies in memory that the system has just zeroed. */
static void *phase2_calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  void *block = phase2_malloc(bytes);
  if (block == NULL || object_before(block)->slab->capacity == 1) return block;
  return memset(block, 0, bytes);
}

static void *phase2_realloc(void *block, size_t size) {
  return realloc_by_copying(block, size, phase2_malloc, phase2_free, phase2_usable_size);
}

static void *phase2_aligned_alloc(size_t alignment, size_t size) {
  return allocate(alignment, size);
}

/* ---- Introspection ----------------------------------------------------------------- */

static void phase2_stats(allocphase_stat_sink *sink, void *context) {
  sink(context, "slabs", (double)slabs.count);
  sink(context, "slabs_made", (double)slabs_made);
  sink(context, "objects_made", (double)objects_made);
  sink(context, "live_objects", (double)live_objects);
  sink(context, "slab_bytes", (double)slabs.bytes);
}

static const char *slab_check(const struct slab *slab) {
  size_t free_count = 0;
  for (const struct object *o = slab->free_objects; o != NULL; o = o->next_free) {
    if (o->slab != slab) return "a free object points to another slab";
    if (++free_count > slab->capacity) return "a free list is longer than its slab";
  }
  if (slab->live == 0) return "a slab without live objects is still mapped";
  if (slab->live + free_count != slab->capacity) return "a slab's objects do not add up";
  if (slab->cached != (free_count > 0)) return "a slab is in a cache that should not be, or not";
  return NULL;
}

static const char *phase2_check(void) {
  const char *fault = mapped_check(&slabs);
  size_t live = 0, cached = 0;
  for (const struct mapped *m = slabs.first; m != NULL && fault == NULL; m = m->next) {
    const struct slab *slab = (const struct slab *)(m + 1);
    fault = slab_check(slab);
    live += slab->live;
    cached += slab->cached;
  }
  for (unsigned class = 0; class < CLASSES && fault == NULL; class++)
    for (const struct slab *s = caches[class]; s != NULL; s = s->next, cached--)
      if (s->class != class || cached == 0) return "a cache lists a slab that is not its own";
  if (fault == NULL && cached != 0) return "a cached slab is in no cache";
  return fault == NULL && live != live_objects ? "the slabs do not add up to the count" : fault;
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = phase2_init,
    .fini = phase2_fini,
    .malloc = phase2_malloc,
    .free = phase2_free,
    .calloc = phase2_calloc,
    .realloc = phase2_realloc,
    .aligned_alloc = phase2_aligned_alloc,
    .usable_size = phase2_usable_size,
    .stats = phase2_stats,
    .check = phase2_check,
};

__attribute__((visibility("default"))) const struct allocphase_allocator *allocphase_plugin(void) {
  return &table;
}
