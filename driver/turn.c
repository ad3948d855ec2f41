#include "turn.h"

#include <errno.h>
#include <unistd.h>

struct turn turn_wait(struct turn own) {
  struct turn told;
  ssize_t length;
  do length = write(STDIN_FILENO, &own, sizeof own);
  while (length < 0 && errno == EINTR);
  do length = read(STDIN_FILENO, &told, sizeof told);
  while (length < 0 && errno == EINTR);
  return length == (ssize_t)sizeof told ? told : own;
}
