/* resident.h: what memory the process has, as the kernel says.
 *
 * Resident memory is read from /proc/self/smaps_rollup, which walks the page tables and
 * is exact (statm is a sum of per-CPU counters, and runs late). It is Anonymous +
 * Pss_Shmem: heap pages, without the code that happens to be paged in. What was freed
 * by MADV_FREE is in it until the kernel wants it, and is told apart. Mapped memory is
 * the data size of /proc/self/statm: writable private mappings, without reservations
 * that cannot be touched.
 *
 * The peak between two readings, inside of a call too, is the kernel's high-water mark.
 * It is a sum of counters, good to some 300 KB, and counts the pages of files as well.
 */
#ifndef ALLOCPHASE_RESIDENT_H
#define ALLOCPHASE_RESIDENT_H

#include <stdbool.h>
#include <stdint.h>

struct footprint {
  uint64_t mapped_bytes;
  uint64_t rss_bytes;
  uint64_t lazy_bytes; /* of these, what the kernel may take at any time */
};

/* Whether readings are exact, or statm's. Asked once, before the first reading. */
bool resident_prepare(void);

struct footprint resident_read(void);
uint64_t resident_mapped_bytes(void); /* alone: some microseconds */

/* The mark goes down to what is resident now. False where /proc does not allow that:
 * then the peaks between the readings are not known. */
bool resident_mark_reset(void);

struct mark {
  uint64_t peak_bytes; /* since the reset */
  uint64_t file_bytes; /* of files, now */
};
struct mark resident_mark(void);

/* Every page of the driver's own code, so that none is a fault of a replay. */
void resident_touch_own_code(void);

static inline uint64_t resident_growth(uint64_t now, uint64_t base) {
  return now > base ? now - base : 0;
}

#endif
