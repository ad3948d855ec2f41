/* event.h: an event as the recorded program writes it into a ring.
 *
 *     name  | address 48 | align_log2 6 | entry 6 | kind 4 |
 *     value | size 32                   | time 32          |
 *
 * time: ticks since the last event in this ring whose time was read, or TIME_UNREAD: no clock was
 * read for this one, and that event's time is known of it. A size that needs more than 32 bits, a
 * time, and a second number such as calloc's count stand in an event of their own before it (WIDE,
 * TIME, EXTRA), whose value has 64 bits. An address is only compared, so that what tags its
 * highest bits may have need not be kept.
 *
 * Kinds and entries have the numbers of src/allocphase/recorder/events.py; a test compares them.
 */
#ifndef ALLOCPHASE_RECORDER_EVENT_H
#define ALLOCPHASE_RECORDER_EVENT_H

#include <stdint.h>

/* What every event passes, on either side of the ring. */
#define INLINED static inline __attribute__((always_inline))

enum kind {
  KIND_ALLOCATION = 0,
  KIND_FREE = 1,
  KIND_REALLOC_BEGIN = 2,
  KIND_REALLOC_END = 3,
  KIND_REALLOC_FREED = 4,
  KIND_REALLOC_FAILED = 5, /* address: of the old block */
  KIND_USABLE_SIZE = 6,
  KIND_FAILED = 7,
  KIND_INHERITED = 8, /* made by the drainer */
  KIND_TOUCHED = 9,
  /* In rings alone. */
  KIND_NOTE = 10, /* what it notes is its entry */
  KIND_WIDE = 11,
  KIND_EXTRA = 12,
  KIND_TIME = 13
};

enum note {
  NOTE_CREATE = 0, /* address: number of the thread to be; before pthread_create */
  NOTE_CREATE_FAILED = 1,
  NOTE_JOINED = 2, /* address: number of the thread; after pthread_join */
  NOTE_FORK = 3,   /* address: which fork of the process; before it */
  NOTE_END = 4     /* of the thread itself */
};

enum entry {
  ENTRY_NONE = 0,
  ENTRY_MALLOC = 1,
  ENTRY_CALLOC = 2,
  ENTRY_REALLOC = 3,
  ENTRY_REALLOCARRAY = 4,
  ENTRY_FREE = 5,
  ENTRY_CFREE = 6,
  ENTRY_FREE_SIZED = 7,
  ENTRY_FREE_ALIGNED_SIZED = 8,
  ENTRY_MEMALIGN = 9,
  ENTRY_ALIGNED_ALLOC = 10,
  ENTRY_POSIX_MEMALIGN = 11,
  ENTRY_VALLOC = 12,
  ENTRY_PVALLOC = 13,
  ENTRY_MALLOC_USABLE_SIZE = 14,
  ENTRY_NEW = 15,
  ENTRY_NEW_NOTHROW = 16,
  ENTRY_NEW_ARRAY = 17,
  ENTRY_NEW_ARRAY_NOTHROW = 18,
  ENTRY_NEW_ALIGNED = 19,
  ENTRY_NEW_ALIGNED_NOTHROW = 20,
  ENTRY_NEW_ARRAY_ALIGNED = 21,
  ENTRY_NEW_ARRAY_ALIGNED_NOTHROW = 22,
  ENTRY_DELETE = 23,
  ENTRY_DELETE_NOTHROW = 24,
  ENTRY_DELETE_SIZED = 25,
  ENTRY_DELETE_ALIGNED = 26,
  ENTRY_DELETE_ALIGNED_NOTHROW = 27,
  ENTRY_DELETE_SIZED_ALIGNED = 28,
  ENTRY_DELETE_ARRAY = 29,
  ENTRY_DELETE_ARRAY_NOTHROW = 30,
  ENTRY_DELETE_ARRAY_SIZED = 31,
  ENTRY_DELETE_ARRAY_ALIGNED = 32,
  ENTRY_DELETE_ARRAY_ALIGNED_NOTHROW = 33,
  ENTRY_DELETE_ARRAY_SIZED_ALIGNED = 34
};

#define EVENT_ENTRIES 35

struct event {
  uint64_t name;
  uint64_t value;
};

#define TIME_UNREAD UINT32_MAX

#define EVENT_ADDRESS_BITS 48
#define EVENT_WHAT_BITS 16
#define EVENT_WHAT ((1u << EVENT_WHAT_BITS) - 1) /* kind, entry, alignment */

static inline uint64_t event_name(unsigned kind, unsigned entry, unsigned align_log2,
                                  uint64_t address) {
  uint64_t what = kind | entry << 4 | (align_log2 & 63) << 10;
  return address << 16 | what;
}

static inline unsigned event_kind(uint64_t name) { return name & 15; }
static inline unsigned event_entry(uint64_t name) { return name >> 4 & 63; }
static inline unsigned event_align_log2(uint64_t name) { return name >> 10 & 63; }
static inline uint64_t event_address(uint64_t name) { return name >> 16; }
static inline uint32_t event_ticks(uint64_t value) {
  return (uint32_t)value == TIME_UNREAD ? 0 : (uint32_t)value;
}

#endif
