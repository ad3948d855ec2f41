#include "seal.h"

#include <string.h>
#include <sys/mman.h>

#include "base/system.h"

/* Copied and compared as bytes, padding included. */
struct seal {
  struct options options;
  struct trace trace;
  struct subject subject;
  struct clock clock;
  uint64_t work_iterations;
  struct cell *cells;
  uint32_t *epochs;
  char *text;
};

static const struct seal *seal;

static void copy(struct seal *to, const struct session *session) {
  memcpy(&to->options, &session->options, sizeof to->options);
  memcpy(&to->trace, &session->trace, sizeof to->trace);
  memcpy(&to->subject, &session->subject, sizeof to->subject);
  memcpy(&to->clock, &session->clock, sizeof to->clock);
  to->work_iterations = session->work.iterations;
  to->cells = session->cells;
  to->epochs = session->epochs;
  to->text = session->json.text;
}

void seal_close(const struct session *session) {
  struct seal *fresh = take_pages(sizeof *fresh);
  copy(fresh, session);
  mprotect(fresh, sizeof *fresh, PROT_READ);
  seal = fresh;
}

void seal_check(struct session *session) {
  struct seal *now = take_pages(sizeof *now);
  copy(now, session);
  now->trace.header = seal->trace.header; /* verify.c: without touches */
  if (memcmp(now, seal, sizeof *now) == 0) return;
  memcpy(&session->options, &seal->options, sizeof session->options); /* to find --out */
  session_end_early(session, "corrupt", "the allocator has written into the driver's own memory");
}
