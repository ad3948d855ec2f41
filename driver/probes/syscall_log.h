/* syscall_log.h: which system calls the allocator makes, and in which operation.
 *
 * Each thread of the trace has a *gate*, a byte: it is open while the allocator's own
 * code runs, and what a backend sees of the thread meanwhile it adds to the log. The log
 * and the gates lie in memory that the tracer of the ptrace backend shares.
 */
#ifndef ALLOCPHASE_SYSCALL_LOG_H
#define ALLOCPHASE_SYSCALL_LOG_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/syscall_name.h"

#define SYSCALL_EVENTS (1u << 21)
#define GATE_CLOSED 0 /* the kernel's SYSCALL_DISPATCH_FILTER_ALLOW */
#define GATE_OPEN 1   /* the kernel's SYSCALL_DISPATCH_FILTER_BLOCK */

/* PHASE_WARM: the operations of the warm replays (trace.h). */
enum phase { PHASE_INIT, PHASE_THREADS, PHASE_OPERATION, PHASE_WARM, PHASE_TEARDOWN, PHASES };

struct syscall_event {
  uint64_t op; /* its place (worker.h) */
  uint32_t thread;
  uint32_t number;
};

_Static_assert(sizeof(struct syscall_event) == 16, "probe/arrays.py: SYSCALL_EVENT");

/* What a backend must know of one thread. Volatile: the handler and the tracer
 * read it behind the compiler's back. */
struct syscall_thread {
  _Alignas(64) volatile uint8_t gate;
  volatile uint8_t phase;
  volatile uint16_t thread;
  volatile uint64_t place;
  volatile pid_t tid;
  volatile uint32_t let_through; /* calls that closed the gate: see dispatch.c */
  _Atomic uint64_t operation_calls; /* of thread i of the trace, in threads[i] */
};

struct syscall_log {
  _Atomic uint64_t counts[PHASES][SYSCALL_NUMBERS];
  _Atomic uint32_t event_count; /* may pass SYSCALL_EVENTS: the rest is only counted */
  _Atomic uint32_t thread_count;
  struct syscall_event events[SYSCALL_EVENTS];
  struct syscall_thread threads[]; /* one a trace thread, then the main thread */
};

static inline void syscall_log_add(struct syscall_log *log, const struct syscall_thread *thread,
                                   uint64_t number) {
  if (number >= SYSCALL_NUMBERS) number = SYSCALL_NUMBERS - 1;
  atomic_fetch_add_explicit(&log->counts[thread->phase][number], 1, memory_order_relaxed);
  if (thread->phase != PHASE_OPERATION && thread->phase != PHASE_WARM) return;
  if (thread->phase == PHASE_OPERATION)
    atomic_fetch_add_explicit(&log->threads[thread->thread].operation_calls, 1,
                              memory_order_relaxed);
  uint32_t at = atomic_fetch_add_explicit(&log->event_count, 1, memory_order_relaxed);
  if (at < SYSCALL_EVENTS)
    log->events[at] = (struct syscall_event){thread->place, thread->thread, (uint32_t)number};
}

#endif
