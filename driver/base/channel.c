#include "base/channel.h"

#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static bool is_open, has_token;
static char token[CHANNEL_TOKEN_BYTES + 1];

void channel_open(bool again) {
  is_open = !again;
  has_token = true;
}

void channel_say(const char *what, const char *detail) {
  const char *texts[] = {what, ": ", detail};
  struct iovec parts[3];
  if (!is_open) return;
  for (int i = 0; i < 3; i++) {
    parts[i].iov_base = (void *)texts[i];
    parts[i].iov_len = strlen(texts[i]);
  }
  if (writev(CHANNEL_FD, parts, 3) < 0) return; /* the keeper is gone, and so are we soon */
}

void channel_close(void) {
  if (!has_token) return;
  ssize_t length = read(CHANNEL_TOKEN_FD, token, CHANNEL_TOKEN_BYTES);
  token[length > 0 ? length : 0] = '\0';
  close(CHANNEL_TOKEN_FD);
  if (is_open) close(CHANNEL_FD);
  is_open = has_token = false;
}

void channel_close_on_exec(void) {
  if (is_open) fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
}

const char *channel_token(void) { return token; }
