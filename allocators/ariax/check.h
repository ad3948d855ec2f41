/* check.h: ariax looks at itself. A part of ariax.c, which includes it where its
 * structures are known; it walks every pool, free list and mapping.
 */
#ifndef ALLOCPHASE_ARIAX_CHECK_H
#define ALLOCPHASE_ARIAX_CHECK_H

/* What the walk of a pool finds, to be compared with what the pool says. */
struct census {
  size_t live, used_bytes, free;
};

static const char *pool_walk(const struct pool *pool, struct census *census) {
  for (size_t at = 0; at < pool->cut;) {
    const struct header *header = (const struct header *)(pool->start + at);
    if (header->class >= (pool->fixed_bytes != 0 ? 1 : CLASSES)) return "a block has no class";
    size_t bytes = whole_bytes(pool, header);
    if (bytes > pool->cut - at) return "a block ends behind the cut";
    at += bytes;
    if (header->requested == FREE) {
      census->free++;
      continue;
    }
    if (header->requested > bytes - sizeof *header) return "a block is larger than its class";
    census->live++;
    census->used_bytes += header->requested;
  }
  return NULL;
}

static const char *pool_check_lists(const struct pool *pool, size_t free_count) {
  for (unsigned class = 0; class < CLASSES; class++)
    for (const struct free_block *b = pool->free[class]; b != NULL; b = b->next) {
      if ((const char *)b < pool->start || (const char *)b >= pool->start + pool->cut)
        return "a free list leaves its pool";
      if (b->header.requested != FREE || b->header.class != class)
        return "a free list has a block that is not its own";
      if (free_count-- == 0) return "the free lists have more blocks than the pool";
    }
  return free_count == 0 ? NULL : "a free block is on no list";
}

static const char *pool_check(const struct pool *pool, struct census *census) {
  if ((uintptr_t)pool->start % UNIT_BYTES != 0) return "two pools share a page";
  if (pool->cut > pool->bytes) return "a pool is cut beyond its end";
  const char *fault = pool_walk(pool, census);
  if (fault != NULL) return fault;
  if (census->live != pool->live || census->used_bytes != pool->used_bytes)
    return "a pool's blocks do not add up to its counts";
  return pool_check_lists(pool, census->free);
}

static const char *ariax_check(void) {
  size_t used[2][POOLS_OF_DOMAIN] = {{0}};
  const char *fault = mapped_check(&mappings);
  for (size_t i = 0; i < pool_count && fault == NULL; i++) {
    if (pools[i].bytes == 0) continue;
    struct census census = {0};
    fault = pool_check(&pools[i], &census);
    used[i >= POOLS_OF_DOMAIN][i % POOLS_OF_DOMAIN] += census.used_bytes;
  }
  for (unsigned i = 0; i < 2 * POOLS_OF_DOMAIN && fault == NULL; i++)
    if (used[i / POOLS_OF_DOMAIN][i % POOLS_OF_DOMAIN] !=
        usages[i / POOLS_OF_DOMAIN][i % POOLS_OF_DOMAIN].used_bytes)
      return "the pools do not add up to the usage";
  return fault;
}

/* ---- Statistics -------------------------------------------------------------------- */

static void usage_stats(allocphase_stat_sink *sink, void *context, size_t *misses) {
  char name[64];
  for (unsigned i = 0; i < 2 * POOLS_OF_DOMAIN; i++) {
    const struct usage *usage = &usages[i / POOLS_OF_DOMAIN][i % POOLS_OF_DOMAIN];
    const char *pool = kind_names[i / POOLS_OF_DOMAIN][i % POOLS_OF_DOMAIN];
    snprintf(name, sizeof name, "pool_used_bytes.%s", pool);
    sink(context, name, (double)usage->used_bytes);
    snprintf(name, sizeof name, "pool_peak_used_bytes.%s", pool);
    sink(context, name, (double)usage->peak_used_bytes);
    snprintf(name, sizeof name, "pool_misses.%s", pool);
    sink(context, name, (double)usage->misses);
    *misses += usage->misses;
  }
}

/* With as many digits as tell the frequency from every other: 3.14159. */
static void frequency_name(char *name, size_t capacity, double hz) {
  static const char group[] = "frequency_hz.";
  for (int digits = 6; digits <= 17; digits++) {
    snprintf(name, capacity, "%s%.*g", group, digits, hz);
    if (strtod(name + sizeof group - 1, NULL) == hz) return;
  }
}

static void tally_stats(const struct tally *tally, allocphase_stat_sink *sink, void *context) {
  char name[64];
  for (size_t i = 0; i < TALLY_PLACES; i++) {
    uint64_t key = tally->places[i].key;
    if (tally->places[i].count == 0) continue;
    if (tally == &frequencies_seen)
      frequency_name(name, sizeof name, tally_hz_of(key));
    else
      snprintf(name, sizeof name, "class_allocations.%llu", (unsigned long long)key);
    sink(context, name, (double)tally->places[i].count);
  }
}

static void ariax_stats(allocphase_stat_sink *sink, void *context) {
  size_t misses = 0, domains_used = 0;
  for (size_t i = POOLS_OF_DOMAIN; i < pool_count; i += POOLS_OF_DOMAIN)
    domains_used += pools[i].cut + pools[i + 1].cut + pools[i + 2].cut > 0;
  usage_stats(sink, context, &misses);
  tally_stats(&classes_seen, sink, context);
  tally_stats(&frequencies_seen, sink, context);
  sink(context, "frequencies", (double)frequencies_seen.keys);
  sink(context, "untracked_classes", (double)classes_seen.untracked);
  sink(context, "untracked_frequencies", (double)frequencies_seen.untracked);
  sink(context, "harmonic_hits", (double)harmonic_hits);
  sink(context, "domains_used", (double)domains_used);
  sink(context, "refusals", (double)refusals);
  sink(context, "mapped_blocks", (double)mappings.count);
  if (allocations > 0)
    sink(context, "pool_hit_rate", (double)(allocations - misses) / (double)allocations);
}

#endif
