/* counted.h: the table that the counting preload (count.c) writes, which outlives every process.
 *
 *     head | processes ... | threads ...
 *
 * A file that all processes of a program share: the harness makes it, each process maps it, and
 * what is counted is in it at once, whether the process returns from main, calls _exit or is
 * killed. One line for each *process*, that is an address space: begun by exec or by fork. One
 * for each of its *threads* that ever called. Lines are taken by one atomic addition and never
 * given back. Who finds none left shares the last one: totals stay right, and so nothing is lost.
 *
 * No lock: a thread adds to its own line by relaxed atomics, which a signal handler, and a vfork
 * child in the same memory, may come between. Only the live bytes are the process's.
 *
 * A process finds out that it is a fork's child, however it was forked, by a page that the kernel
 * wipes then (MADV_WIPEONFORK, Linux 4.14).
 */
#ifndef ALLOCPHASE_PRELOAD_COUNTED_H
#define ALLOCPHASE_PRELOAD_COUNTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNTED_MAGIC UINT64_C(0x31746e756f436c41) /* "AlCount1" */
#define COUNTED_PROCESSES 65536u
#define COUNTED_THREADS 131072u

/* The order is that of the Python that reads it: MALLOC_KINDS in probe/arrays.py. */
enum counted_kind {
  COUNTED_MALLOC,
  COUNTED_CALLOC,
  COUNTED_REALLOC,
  COUNTED_REALLOCARRAY,
  COUNTED_ALIGNED_ALLOC,
  COUNTED_POSIX_MEMALIGN,
  COUNTED_MEMALIGN,
  COUNTED_VALLOC,
  COUNTED_PVALLOC,
  COUNTED_FREE,       /* of a block: free(NULL) does nothing */
  COUNTED_FREE_SIZED, /* free_sized and free_aligned_sized, likewise */
  COUNTED_USABLE_SIZE,
  COUNTED_NEW,    /* operator new in all of its forms, */
  COUNTED_DELETE, /* and delete, of a block */
  COUNTED_KINDS
};

struct counted_head {
  uint64_t magic;
  uint32_t processes; /* lines that were asked for, be there so many or not */
  uint32_t threads;
  uint8_t rest[48];
};

struct counted_process {
  uint32_t pid;
  uint32_t usable_unknown; /* 1: malloc_usable_size is not the allocator's, and was not asked */
  int64_t usable_bytes;    /* of the blocks that are not freed, by malloc_usable_size; a child's begin
                              with its parent's */
  int64_t peak_usable_bytes;
  uint64_t own_mapped_bytes; /* all anonymous memory that others than the allocator mapped */
  uint8_t rest[32];
};

struct counted_thread {
  uint32_t process; /* its line, from 1 on */
  uint32_t tid;
  uint64_t requested_bytes; /* of the calls that got a block */
  uint64_t calls[COUNTED_KINDS];
};

struct counted_table {
  struct counted_head head;
  struct counted_process processes[COUNTED_PROCESSES];
  struct counted_thread threads[COUNTED_THREADS];
};

_Static_assert(sizeof(struct counted_head) == 64, "process/calls.py has the same");
_Static_assert(sizeof(struct counted_process) == 64, "probe/arrays.py has the same");
_Static_assert(sizeof(struct counted_thread) == 128, "probe/arrays.py has the same");

/* ---- Of this process and thread -------------------------------------------------------------- */

/* `inside`: in a call already. What is asked for from there on is the allocator's own affair, or
 * libc's: a reallocarray that calls realloc is one call. Initial-exec: to find a variable of
 * another kind the linker may call malloc. */
struct counted_caller {
  volatile unsigned char inside;
  uint32_t process; /* whose thread this line is; another one's after a fork */
  struct counted_thread *thread;
};

extern _Thread_local struct counted_caller counted_caller __attribute__((tls_model("initial-exec")));
extern struct counted_process *counted_process;
extern const uint32_t *counted_process_number; /* in the page that a fork wipes; 0: not begun */

struct counted_thread *counted_thread_slowly(void);

/* The calling thread's line; errno stays as it is. */
static inline struct counted_thread *counted_thread(void) {
  uint32_t process = counted_caller.process;
  if (__builtin_expect(process != 0 && process == *counted_process_number, 1))
    return counted_caller.thread;
  return counted_thread_slowly();
}

static inline void counted_add(uint64_t *counter, uint64_t amount) {
  __atomic_fetch_add(counter, amount, __ATOMIC_RELAXED);
}

static inline void counted_call(enum counted_kind kind, size_t requested_bytes) {
  struct counted_thread *thread = counted_thread();
  counted_add(&thread->calls[kind], 1);
  if (requested_bytes > 0) counted_add(&thread->requested_bytes, requested_bytes);
}

/* By how much more, or less, is live now. */
static inline void counted_live(int64_t bytes) {
  struct counted_process *process = counted_process;
  int64_t now = __atomic_add_fetch(&process->usable_bytes, bytes, __ATOMIC_RELAXED);
  int64_t peak = __atomic_load_n(&process->peak_usable_bytes, __ATOMIC_RELAXED);
  while (now > peak &&
         !__atomic_compare_exchange_n(&process->peak_usable_bytes, &peak, now, true,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    continue;
}

#endif
