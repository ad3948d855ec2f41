/* allocphase.h: the contract between the allocphase driver and an allocator.
 *
 * An allocator is a shared object that exports one function, allocphase_plugin(),
 * which returns a table of functions. The driver calls every allocator through
 * such a table, so that all of them pay for the same indirect call.
 *
 * The driver, once for each process:
 *
 *     allocphase_plugin()      the table; nothing may be allocated yet
 *     init(config)             reserve, map, build: counted as "init"
 *     malloc ... free ...      the trace: counted as "operation"; the verify probe
 *                              replays it and makes more calls of its own
 *     check(), stats()         now and then, and after the trace; never timed
 *     fini()                   give everything back: counted as "teardown"
 *
 * Absent (NULL) optional functions are emulated by the driver from malloc and
 * free, and the result says so.  Copyright: see LICENSE (MIT).
 */
#ifndef ALLOCPHASE_H
#define ALLOCPHASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a table of the old layout would be misread. */
#define ALLOCPHASE_ABI_VERSION 1u

/* ---- What an allocator is told --------------------------------------------- */

/* One key of [config] in allocator.toml, or of `NAME?key=value`. Both strings
 * live as long as the process. */
struct allocphase_setting {
  const char *key;
  const char *value;
};

struct allocphase_config {
  const struct allocphase_setting *settings;
  size_t count;
};

/* What a tagged request says of itself. Allocators that know no tags never see
 * one: the driver calls their malloc and free instead. */
struct allocphase_tag {
  uint32_t class_id; /* kind of object, 0 = untagged */
  uint32_t domain;   /* isolation domain: no page is shared between two */
  double hint_hz;    /* numeric routing hint; 0 = none */
};

/* ---- What an allocator says of itself --------------------------------------- */

/* Receives one statistic. `name` is lower_snake_case and carries its unit
 * (pool_used_bytes, pool_hit_rate); a dot opens a group (frequency_hz.3.14159). */
typedef void allocphase_stat_sink(void *context, const char *name, double value);

/* ---- The table --------------------------------------------------------------- */

/* Any thread may call malloc, free and the rest at any time. Without this flag
 * the driver runs threaded traces behind one lock, and says so. */
#define ALLOCPHASE_THREAD_SAFE 1u

struct allocphase_allocator {
  uint32_t abi_version; /* ALLOCPHASE_ABI_VERSION */
  uint32_t flags;       /* ALLOCPHASE_THREAD_SAFE or 0 */

  /* Required. init returns 0, or an errno value: EINVAL for a setting it does
   * not accept, ENOMEM when it cannot reserve what it needs. The block returned
   * by malloc is aligned to 16 bytes (to 8 when size <= 8) or is NULL: the
   * system has no more memory, or nobody has so much. Of no bytes it is NULL or a
   * block like others, that no live one shares its address with. free(NULL) does
   * nothing. */
  int (*init)(const struct allocphase_config *config);
  void (*fini)(void);
  void *(*malloc)(size_t size);
  void (*free)(void *block);

  /* Optional, as in the C standard. */
  void *(*calloc)(size_t count, size_t size);
  void *(*realloc)(void *block, size_t size);
  void *(*aligned_alloc)(size_t alignment, size_t size);

  /* Optional: tags. free_tagged names the domain that the caller acts for; it
   * returns 0 when the block was freed and EPERM when it belongs to another
   * domain: then the block stays as it was. */
  void *(*malloc_tagged)(size_t size, const struct allocphase_tag *tag);
  int (*free_tagged)(void *block, const struct allocphase_tag *tag);

  /* Optional: introspection. usable_size is at least the size asked for. check
   * walks every structure and returns NULL, or one line about the first broken
   * invariant; of an allocator that is thread-safe it may be called while other
   * threads are in malloc and free. */
  size_t (*usable_size)(const void *block);
  void (*stats)(allocphase_stat_sink *sink, void *context);
  const char *(*check)(void);

  /* Optional: called by each thread of the trace, the first one included,
   * before its first and after its last operation; again for each replay. */
  void (*thread_start)(void);
  void (*thread_stop)(void);
};

/* The one exported symbol. The table is static: it is never freed. */
const struct allocphase_allocator *allocphase_plugin(void);

#ifdef __cplusplus
}
#endif
#endif
