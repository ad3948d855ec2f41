#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/system.h"

struct progress *progress;

void progress_open(const char *path, uint32_t thread_count) {
  size_t bytes = sizeof *progress + thread_count * sizeof *progress->threads;
  void *zeros = take_pages(bytes);
  write_file(path, zeros, bytes); /* a hole would be a SIGBUS later, on a full disk */
  give_pages(zeros, bytes);
  int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  int flags = MAP_SHARED | MAP_POPULATE;
  if (fd >= 0) progress = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (fd < 0 || progress == MAP_FAILED) die(EXIT_TOOL, path, strerror(errno));
  close(fd);
  progress->thread_count = thread_count;
}
