/* stray: writes into what is the driver's.
 *
 *   settings  the settings that init was given, and what stands around them
 *   trace     the tag that came with a request: it lies in the trace
 *   overrun   one byte behind a table of the driver's: that of a setting's name
 *   stack     in stats, the stack above what the sink was given */
#include "correct.h"

static char *settings, *name;

static int faulty_init(const struct allocphase_config *config) {
  settings = (char *)config->settings;
  name = (char *)config->settings[0].key;
  return correct_init(config);
}

static void *faulty_malloc(size_t size) {
  if (is("settings") && mallocs == 2) memset(settings + 512, 0xee, 64);
  if (is("overrun") && mallocs == 2) name[os_page_bytes()] = 1;
  return correct_malloc(size);
}

/* The owner stands behind the size, in what belongs to the block before it. */
static void *faulty_malloc_tagged(size_t size, const struct allocphase_tag *tag) {
  char *block = correct_malloc(size);
  if (is("trace")) ((struct allocphase_tag *)tag)->class_id = 0xee;
  if (block) memcpy(block - 8, &tag->domain, sizeof tag->domain);
  return block;
}

static int faulty_free_tagged(void *block, const struct allocphase_tag *tag) {
  if (memcmp((char *)block - 8, &tag->domain, sizeof tag->domain) != 0) return EPERM;
  correct_free(block);
  return 0;
}

static void faulty_stats(allocphase_stat_sink *sink, void *context) {
  sink(context, "mallocs", (double)mallocs);
  if (is("stack")) memset(context, 0xee, 512);
}

PLUGIN(.init = faulty_init, .fini = correct_fini, .malloc = faulty_malloc, .free = correct_free,
       .malloc_tagged = faulty_malloc_tagged, .free_tagged = faulty_free_tagged,
       .stats = faulty_stats)
