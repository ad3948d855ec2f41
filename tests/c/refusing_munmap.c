/* Linked with -Wl,--wrap=munmap: the process has as many mappings as it may have, and
 * to unmap part of one would make one more. */
#include <errno.h>
#include <stddef.h>

int __wrap_munmap(void *start, size_t bytes);

int __wrap_munmap(void *start, size_t bytes) {
  errno = start == NULL || bytes == 0 ? EINVAL : ENOMEM;
  return -1;
}
