#include "space.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/system.h"
#include "base/text.h"

/* Who nests deeper has nothing to be counted for. */
#define MOST_DEPTH 64
#define BLOCK_BYTES 512 /* of st_blocks, on every file system */

static bool look(const char *folder, uint64_t *bytes, uint64_t *files) {
  struct statfs disk;
  if (syscall(SYS_statfs, folder, &disk) != 0) return false;
  *bytes = (uint64_t)disk.f_bavail * (uint64_t)disk.f_bsize;
  *files = (uint64_t)disk.f_ffree;
  return true;
}

void space_watch(struct space *space, const char *folder, uint64_t most_bytes,
                 uint64_t most_files) {
  *space = (struct space){folder, most_bytes, most_files, 0, 0};
  if (!look(folder, &space->free_bytes, &space->free_files)) space->folder = NULL;
}

struct found {
  uint64_t bytes, files;
};

/* The folder behind `fd`, which is closed. */
static void count(int fd, int depth, const struct space *space, struct found *found) {
  DIR *folder = fd >= 0 && depth < MOST_DEPTH ? fdopendir(fd) : NULL;
  if (!folder) {
    if (fd >= 0) close(fd);
    return;
  }
  for (struct dirent *entry; (entry = readdir(folder));) {
    struct stat status;
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if (found->files > space->most_files || found->bytes > space->most_bytes) break;
    if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    found->files++;
    found->bytes += (uint64_t)status.st_blocks * BLOCK_BYTES;
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    if (S_ISDIR(status.st_mode)) count(openat(fd, entry->d_name, flags), depth + 1, space, found);
  }
  closedir(folder);
}

/* How much less there is; nothing when others have freed more. */
static uint64_t lost(uint64_t before, uint64_t now) { return now < before ? before - now : 0; }

bool space_is_exceeded(struct space *space) {
  uint64_t bytes, files;
  if (!space->folder || !look(space->folder, &bytes, &files)) return false;
  if (lost(space->free_bytes, bytes) <= space->most_bytes &&
      lost(space->free_files, files) <= space->most_files)
    return false;
  struct found found = {0, 0};
  count(open(space->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0, space, &found);
  if (found.bytes > space->most_bytes || found.files > space->most_files) return true;
  space->free_bytes = bytes; /* it was somebody else */
  space->free_files = files;
  return false;
}

/* Of "key shmid perms size cpid ...", a line each, behind a line of names. */
void space_remove_shared_memory(pid_t maker) {
  static char text[65536];
  read_text("/proc/sysvipc/shm", text, sizeof text);
  for (const char *line = strchr(text, '\n'); line; line = strchr(line, '\n')) {
    uint64_t words[5] = {0};
    line++;
    for (int i = 0; i < 5; i++) {
      while (*line == ' ') line++;
      words[i] = text_number(line + (*line == '-')); /* keys may be negative */
      while (*line && *line != ' ' && *line != '\n') line++;
    }
    if (words[4] == (uint64_t)maker) syscall(SYS_shmctl, (int)words[1], IPC_RMID, NULL);
  }
}
