/* histogram.h: log-linear counts of durations, as in Tene's HdrHistogram: each
 * power of two is cut into 32 equal parts, so a value is known to 1 part in 32.
 *
 * Kept for each kind of operation and each power of two of its size; a free of
 * what another thread allocated or used last is a kind of its own. The file is
 * uint64 [kinds][size classes][buckets]; src/allocphase/probe/arrays.py reads it.
 */
#ifndef ALLOCPHASE_HISTOGRAM_H
#define ALLOCPHASE_HISTOGRAM_H

#include <stdint.h>

#include "trace.h"

#define HISTOGRAM_PART_BITS 5
#define HISTOGRAM_PARTS (1u << HISTOGRAM_PART_BITS)
#define HISTOGRAM_BUCKETS ((32 - HISTOGRAM_PART_BITS + 1) * HISTOGRAM_PARTS)
#define HISTOGRAM_SIZES 33
#define HISTOGRAM_KINDS (TRACE_KINDS + 1)

struct histogram {
  uint64_t count[HISTOGRAM_KINDS][HISTOGRAM_SIZES][HISTOGRAM_BUCKETS];
};

/* Values below 32 have a bucket each; above, 32 buckets an octave. */
static inline uint32_t histogram_bucket(uint32_t value) {
  if (value < HISTOGRAM_PARTS) return value;
  uint32_t octave = 31u - (uint32_t)__builtin_clz(value) - HISTOGRAM_PART_BITS;
  return (octave + 1) * HISTOGRAM_PARTS + ((value >> octave) - HISTOGRAM_PARTS);
}

/* 0 for 0 and 1, then the exponent of the next power of two. */
static inline uint32_t histogram_size_class(uint32_t size) {
  return size < 2 ? 0 : 32u - (uint32_t)__builtin_clz(size - 1);
}

/* The kind of operation, or TRACE_KINDS for a remote free. */
static inline uint32_t histogram_kind(const struct trace_op *op) {
  return op->kind == TRACE_FREE && (op->flags & TRACE_WAIT) ? TRACE_KINDS : op->kind;
}

static inline void histogram_add(struct histogram *histogram, const struct trace_op *op,
                                 uint32_t value) {
  histogram->count[histogram_kind(op)][histogram_size_class(op->size)][histogram_bucket(value)]++;
}

#endif
