/* footprint.c: live, mapped and resident memory over op time: the picture. Checkpoints
 * lie at equal steps of op time, and one at the peak of live bytes, so that two runs
 * align. Their readings make the pass longer, and what an allocator gives back by the
 * clock it gives back earlier in op time: totals are the memory probe's, and pass_ns
 * tells how far apart the two passes are.
 *
 * The peak of live bytes is the trace's own. With threads it is the peak of the order in
 * which the generator wrote the operations down: one possible run. How far threads are
 * apart differs from run to run, and with it what is live at a checkpoint.
 *
 * Files: checkpoints.bin (struct checkpoint).
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base/system.h"
#include "probes/probes.h"
#include "probes/resident.h"
#include "progress.h"
#include "replay.h"
#include "team.h"

struct checkpoint {
  uint64_t op; /* operations done, by all threads */
  uint64_t live_bytes;
  uint64_t mapped_bytes;
  uint64_t rss_bytes;
};

_Static_assert(sizeof(struct checkpoint) == 32, "probe/arrays.py: CHECKPOINT");

struct footprint_probe {
  uint64_t interval;
  uint64_t peak_op;
  struct footprint base;
  _Atomic uint64_t done;
  _Atomic uint64_t live_bytes;
  pthread_mutex_t lock; /* of the checkpoints */
  uint32_t checkpoint_count;
  struct checkpoint *checkpoints;
};

static void take_checkpoint(struct footprint_probe *probe, uint64_t op) {
  pthread_mutex_lock(&probe->lock);
  struct footprint now = resident_read();
  probe->checkpoints[probe->checkpoint_count++] = (struct checkpoint){
      .op = op,
      .live_bytes = atomic_load(&probe->live_bytes),
      .mapped_bytes = resident_growth(now.mapped_bytes, probe->base.mapped_bytes),
      .rss_bytes = resident_growth(now.rss_bytes, probe->base.rss_bytes),
  };
  pthread_mutex_unlock(&probe->lock);
}

static inline void account(struct worker *worker, const struct cell *cell,
                           const struct trace_op *op, uint32_t old_size) {
  struct footprint_probe *probe = worker->probe;
  if (op->kind == TRACE_FREE) atomic_fetch_sub(&probe->live_bytes, old_size);
  else atomic_fetch_add(&probe->live_bytes, (uint64_t)cell->size - old_size);
  uint64_t done = atomic_fetch_add(&probe->done, 1) + 1;
  if (done % probe->interval == 0 || done == probe->peak_op) take_checkpoint(probe, done);
}

#define REPLAY_ENTER(worker, op) progress_enter(worker, op)
#define REPLAY_LEAVE(worker, op) progress_leave(worker)
#define REPLAY_AFTER(worker, cell, op, old_size) account(worker, cell, op, old_size)
#include "replay_both.inc"

void probe_footprint(struct session *session) {
  static struct footprint_probe probe;
  const struct trace_header *header = session->trace.header;
  uint32_t wanted = session->options.checkpoints;
  bool exact = resident_prepare();
  pthread_mutex_init(&probe.lock, NULL);
  probe.interval = (header->op_count + wanted - 1) / wanted;
  probe.peak_op = header->thread_count == 1 ? header->peak_live_op + 1 : 0;
  probe.checkpoints = take_pages((wanted + 3) * sizeof *probe.checkpoints);
  team_prepare(session);
  probe.base = resident_read();

  session_start(session);
  take_checkpoint(&probe, 0);
  uint64_t pass_ns = team_run_once(session, replay_part, &probe);
  session_stop(session);
  json_open(&session->json, "footprint");
  json_string(&session->json, "rss_source", exact ? "smaps_rollup" : "statm");
  json_integer(&session->json, "pass_ns", pass_ns);
  json_close(&session->json);
  write_file(session_path(session, "checkpoints.bin"), probe.checkpoints,
             probe.checkpoint_count * sizeof *probe.checkpoints);
}
