#include "probes/slow.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/system.h"

#define SAMPLE_FAULTS 64

/* Half of them read first, which is cheaper: the kernel maps a page of zeroes. */
uint32_t slow_cheapest_fault_ticks(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  volatile char *pages = take_untouched_pages(SAMPLE_FAULTS * page);
  uint64_t least = UINT64_MAX;
  for (size_t i = 0; i < SAMPLE_FAULTS; i++) {
    uint64_t begin = ticks_begin();
    if (i % 2) (void)pages[i * page];
    else pages[i * page] = 1;
    uint64_t ticks = ticks_end() - begin;
    if (ticks < least) least = ticks;
  }
  give_pages((void *)(uintptr_t)pages, SAMPLE_FAULTS * page);
  return ticks_clamp(least);
}
