/* mapped.h: blocks that have a mapping of their own.
 *
 * Three allocators fall back to these for what their pools cannot serve, and
 * phase2 uses nothing else. One block costs one mmap and its free one munmap.
 *
 *     start                          block                        start + bytes
 *       | alignment | struct mapped |  usable bytes, zero at first  |
 *
 * Parking. A process may have some 65,000 mappings (vm.max_map_count), and to
 * unmap a page in the middle of one makes two of it. Where the kernel refuses
 * that, the pages are given back, the addresses are *parked*, and the next
 * blocks are cut from parked mappings.
 */
#ifndef ALLOCPHASE_MAPPED_H
#define ALLOCPHASE_MAPPED_H

#include "os.h"

#include "blocks.h"

struct mapped {
  struct mapped *next; /* of the parked ones: only `next`, start and bytes count */
  struct mapped *previous;
  char *start;
  size_t bytes; /* of the mapping: whole pages */
  size_t owner; /* for the allocator's own use */
  size_t reserved;
};

_Static_assert(sizeof(struct mapped) % BLOCK_ALIGNMENT == 0, "the block follows the header");

struct mapped_list {
  struct mapped *first;
  struct mapped *parked;
  size_t count; /* blocks on the list, and what they take */
  size_t bytes;
};

static inline struct mapped *mapped_header(const void *block) {
  return (struct mapped *)(uintptr_t)block - 1;
}

/* By a walk, and without a look at the block: it may be anything. */
static inline bool mapped_is_listed(const struct mapped_list *list, const void *block) {
  const struct mapped *mapped = list->first;
  while (mapped != NULL && mapped + 1 != block) mapped = mapped->next;
  return mapped != NULL;
}

static inline size_t mapped_usable_size(const void *block) {
  const struct mapped *mapped = mapped_header(block);
  return (size_t)(mapped->start + mapped->bytes - (const char *)block);
}

/* First fit. Parked pages read as zero, but for the header at their start, and no
 * block begins before its end. */
static inline struct mapped *mapped_unpark(struct mapped_list *list, size_t bytes) {
  for (struct mapped **link = &list->parked; *link != NULL; link = &(*link)->next) {
    struct mapped *mapped = *link;
    if (mapped->bytes < bytes) continue;
    *link = mapped->next;
    return mapped;
  }
  return NULL;
}

/* A zeroed block, or NULL and ENOMEM: the system has no more. The request is valid. */
static inline void *mapped_new(struct mapped_list *list, size_t alignment, size_t size) {
  size_t slack = alignment > BLOCK_ALIGNMENT ? alignment : 0;
  size_t bytes = round_up(sizeof(struct mapped) + slack + size, os_page_bytes());
  struct mapped *parked = mapped_unpark(list, bytes);
  char *start = (char *)parked;
  if (parked != NULL) bytes = parked->bytes;
  else if ((start = os_map(bytes)) == NULL) return no_memory();
  char *block = align_pointer(start + sizeof(struct mapped), alignment);
  *mapped_header(block) = (struct mapped){.next = list->first, .start = start, .bytes = bytes};
  if (list->first != NULL) list->first->previous = mapped_header(block);
  list->first = mapped_header(block);
  list->count++;
  list->bytes += bytes;
  return block;
}

/* Keeps errno: a free that succeeded says nothing, though a call in it failed. */
static inline void mapped_free(struct mapped_list *list, void *block) {
  int error = errno;
  struct mapped gone = *mapped_header(block);
  if (gone.previous != NULL) gone.previous->next = gone.next;
  else list->first = gone.next;
  if (gone.next != NULL) gone.next->previous = gone.previous;
  list->count--;
  list->bytes -= gone.bytes;
  if (os_unmap(gone.start, gone.bytes) == 0) return;
  os_discard(gone.start, gone.bytes);
  struct mapped *parked = (struct mapped *)gone.start;
  *parked = (struct mapped){.next = list->parked, .start = gone.start, .bytes = gone.bytes};
  list->parked = parked;
  errno = error;
}

/* For fini: gives back what is left, live or parked. */
static inline void mapped_free_all(struct mapped_list *list) {
  while (list->first != NULL) mapped_free(list, list->first + 1);
  while (list->parked != NULL) {
    struct mapped gone = *list->parked;
    list->parked = gone.next;
    os_unmap(gone.start, gone.bytes);
  }
}

/* NULL, or the first broken invariant. */
static inline const char *mapped_check(const struct mapped_list *list) {
  size_t count = 0, bytes = 0;
  const struct mapped *previous = NULL;
  for (const struct mapped *m = list->first; m != NULL; previous = m, m = m->next) {
    if (m->previous != previous) return "mapped list: a back link is wrong";
    if ((const char *)(m + 1) > m->start + m->bytes) return "mapped list: a header is outside";
    if (++count > list->count) return "mapped list: longer than its count";
    bytes += m->bytes;
  }
  if (count != list->count || bytes != list->bytes) return "mapped list: the counts are wrong";
  return NULL;
}

#endif
