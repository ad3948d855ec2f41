/* system.h: the driver's own room.
 *
 * The driver must not use the allocator that it measures. So it takes memory
 * from mmap alone, writes with write(2), and formats numbers itself: stdio and
 * strdup would call the malloc under test when that malloc is preloaded.
 */
#ifndef ALLOCPHASE_SYSTEM_H
#define ALLOCPHASE_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes of the driver process, read by src/allocphase/process/driver.py. */
enum exit_code {
  EXIT_MEASURED = 0, /* a result was written; its status may still be a failure */
  EXIT_TOOL = 1,     /* the driver itself could not do its work */
  EXIT_USAGE = 2,    /* bad option or bad trace */
  EXIT_HINDERED = 3, /* nor this, and the allocator may have taken what was needed */
  EXIT_FAILED = 5    /* with --aloud: a result was written, and its status is not ok */
};

/* Called once, before any code of the allocator's own runs, or at the start of main where
 * a preload's has run: closes the channel to the keeper. From now on what fails may be the
 * allocator's doing, and every code becomes EXIT_HINDERED. A copy of the process that the
 * allocator forks ends where it would write or die: there is one result. */
void system_expect_the_worst(void);

/* One line on stderr, "allocphase-driver: <what>: <detail>", then exit. While the channel
 * is open, the same there; later the line ends with the token. */
_Noreturn void die(enum exit_code code, const char *what, const char *detail);
void say(const char *what, const char *detail);

/* Zeroed memory that is already resident, so that its first use takes no fault.
 * Before and behind it lies a page that nobody may touch: an allocator that runs
 * over the end of its own mapping is stopped there.
 * `shared` memory stays common with a forked process. Dies when there is none. */
void *take_pages(size_t bytes);
void *take_shared_pages(size_t bytes);
/* The same, but made resident by use: for what may stay empty. */
void *take_lazy_pages(size_t bytes);
/* Private ones that nobody has touched. */
void *take_untouched_pages(size_t bytes);
void give_pages(void *pages, size_t bytes);

/* Writes all of `bytes` to a new file, whatever is there under its name; dies with the
 * file's name. system_files() are those so far. */
void write_file(const char *path, const void *data, size_t bytes);
/* The same for several parts, one after the other. */
struct part {
  const void *data;
  size_t bytes;
};
void write_parts(const char *path, const struct part *parts, size_t count);

struct written {
  const char *path;
  size_t bytes;
};
#define MOST_FILES 16
const struct written *system_files(size_t *count);

/* The beginning of a file, such as the kernel's in /proc, as a text. It is opened anew
 * each time: an allocator may have closed what it did not open. False when there is
 * nothing to be read; the text is empty then. */
bool read_text(const char *path, char *text, size_t capacity);

/* How long the process's first thread has stood ready without a CPU, because others
 * had it: the kernel's run delay. 0 where the kernel does not keep it. */
uint64_t run_delay_ns(void);
bool run_delay_is_kept(void);

/* Page faults of the calling thread so far, minor and major. */
uint64_t thread_faults(void);

/* How many threads the process has. */
uint64_t process_threads(void);

/* Runs the calling thread on one CPU. Returns 0 or an errno value. */
int pin_to_cpu(int cpu);

#endif
