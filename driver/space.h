/* space.h: what a command takes of the machine beside the memory that it has mapped, for the keeper:
 * room on the disk, by files in its folder or open ones without a name; memory in files
 * without a name (memfd) and in System V segments, which outlive whoever made them.
 *
 * RLIMIT_FSIZE bounds one file, and nothing how many there are. Counting them takes long, so it is
 * done when the disk, or the machine's memory, has lost as much as the command may have since
 * it was last done. Of files without a name only the command's own process is asked, not what
 * it has forked.
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
  uint64_t shared_bytes; /* of the machine's memory that is files', likewise */
};

/* Looks at the disk as it is now. */
void space_watch(struct space *space, const char *folder, uint64_t most_bytes, uint64_t most_files);

/* Whether there is more in the folder and in files without a name of process `owner` than may be,
 * as far as that can be seen quickly. */
bool space_is_exceeded(struct space *space, pid_t owner);

/* Whether it has more than `most` bytes in memory that it need not have mapped. */
bool space_memory_is_exceeded(struct space *space, pid_t owner, uint64_t most);

/* Removes the System V shared memory that process `maker` has made. */
void space_remove_shared_memory(pid_t maker);

#endif
