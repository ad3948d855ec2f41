#include "preload/counted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

_Thread_local struct counted_caller counted_caller __attribute__((tls_model("initial-exec")));

/* Where counts go while there is no table: before libc has its environment, and in a process that
 * nobody gave one. */
static struct counted_process early_process;
static struct counted_thread early_thread;
static const uint32_t not_begun;

struct counted_process *counted_process = &early_process;
const uint32_t *counted_process_number = &not_begun;

static struct counted_table *table;
static uint32_t *number; /* the page */

/* Not by the name mmap, which count.c has itself. */
static void *map(size_t bytes, int flags, int fd) {
  long found = syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0L);
  return found == -1 ? NULL : (void *)found;
}

static bool table_map(void) {
  static bool has_tried;
  if (environ == NULL || has_tried) return false;
  has_tried = true;
  const char *file = getenv("ALLOCPHASE_CALLS");
  int fd = file == NULL ? -1 : open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return false;
  struct stat status;
  struct counted_table *found = NULL;
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == sizeof *table)
    found = map(sizeof *table, MAP_SHARED, fd);
  close(fd);
  number = found == NULL ? NULL : map(sizeof *number, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  if (number == NULL || found->head.magic != COUNTED_MAGIC) return false;
  madvise(number, sizeof *number, MADV_WIPEONFORK); /* without: a child counts as its parent */
  counted_process_number = number;
  table = found;
  return true;
}

/* Of a fork's child `counted_process` is still its parent's, whose blocks it has. */
static void process_begin(void) {
  uint32_t taken = __atomic_fetch_add(&table->head.processes, 1, __ATOMIC_RELAXED);
  uint32_t line = taken < COUNTED_PROCESSES ? taken : COUNTED_PROCESSES - 1;
  struct counted_process *process = &table->processes[line];
  int64_t inherited = __atomic_load_n(&counted_process->usable_bytes, __ATOMIC_RELAXED);
  process->pid = (uint32_t)getpid();
  process->usable_unknown = counted_process->usable_unknown;
  if (counted_process == &early_process)
    counted_add(&process->own_mapped_bytes, early_process.own_mapped_bytes);
  counted_process = process;
  counted_live(inherited);
  *number = line + 1;
}

static void early_counts_move(struct counted_thread *thread) {
  counted_add(&thread->requested_bytes, early_thread.requested_bytes);
  for (int kind = 0; kind < COUNTED_KINDS; kind++)
    counted_add(&thread->calls[kind], early_thread.calls[kind]);
  early_thread = (struct counted_thread){0};
}

static void thread_begin(void) {
  uint32_t taken = __atomic_fetch_add(&table->head.threads, 1, __ATOMIC_RELAXED);
  uint32_t line = taken < COUNTED_THREADS ? taken : COUNTED_THREADS - 1;
  struct counted_thread *thread = &table->threads[line];
  thread->process = *number;
  thread->tid = (uint32_t)syscall(SYS_gettid);
  counted_caller.thread = thread;
  counted_caller.process = *number;
  early_counts_move(thread);
}

/* A process begins by its first call, mostly a library's constructor's, or by the constructor
 * below; a fork's child by its first. Either time it has one thread. */
struct counted_thread *counted_thread_slowly(void) {
  int error = errno;
  bool is_there = table != NULL || table_map();
  if (is_there && *number == 0) process_begin();
  if (is_there) thread_begin();
  errno = error;
  return is_there ? counted_caller.thread : &early_thread;
}

/* Before main, also in a program that never asks. */
__attribute__((constructor)) static void begin_before_main(void) { counted_thread(); }
