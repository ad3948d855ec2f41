/* space.h: what a command takes of the machine beside its own memory, for the keeper: room on the
 * disk, by files in its folder, and System V shared memory, which outlives whoever made it.
 *
 * RLIMIT_FSIZE bounds one file, and nothing how many there are. Counting them takes long, so it is
 * done when the disk has lost as much as a folder may have since it was last done.
 */
#ifndef ALLOCPHASE_SPACE_H
#define ALLOCPHASE_SPACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct space {
  const char *folder; /* NULL: nothing is watched */
  uint64_t most_bytes, most_files;
  uint64_t free_bytes, free_files; /* of its disk, when it was last looked into */
};

/* Looks at the disk as it is now. */
void space_watch(struct space *space, const char *folder, uint64_t most_bytes, uint64_t most_files);

/* Whether there is more in the folder than may be, as far as that can be seen quickly. */
bool space_is_exceeded(struct space *space);

/* Removes the System V shared memory that process `maker` has made. */
void space_remove_shared_memory(pid_t maker);

#endif
