#include "space.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
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

/* Of all tmpfs, memfd and System V memory of the machine. */
static uint64_t shared_bytes(void) {
  struct sysinfo info;
  return sysinfo(&info) == 0 ? (uint64_t)info.sharedram * info.mem_unit : 0;
}

void space_watch(struct space *space, const char *folder, uint64_t most_bytes,
                 uint64_t most_files) {
  *space = (struct space){folder, most_bytes, most_files, 0, 0, shared_bytes()};
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

#define MOST_OPEN 4096 /* files that are told apart */

/* What nobody finds in any folder, each once: open files without a name, on the disk of the folder
 * or else in memory. */
static uint64_t unnamed_bytes(const struct space *space, pid_t owner, bool on_disk) {
  static struct {
    dev_t device;
    ino_t inode;
  } seen[MOST_OPEN];
  char path[64];
  size_t length = 0;
  uint64_t bytes = 0;
  struct stat disk = {0};
  if (space->folder) stat(space->folder, &disk);
  snprintf(path, sizeof path, "/proc/%d/fd", (int)owner);
  DIR *folder = opendir(path);
  if (!folder) return 0;
  for (struct dirent *entry; length < MOST_OPEN && (entry = readdir(folder));) {
    struct stat status;
    if (fstatat(dirfd(folder), entry->d_name, &status, 0) != 0) continue;
    if (!S_ISREG(status.st_mode) || status.st_nlink > 0) continue;
    if ((status.st_dev == disk.st_dev) != on_disk) continue;
    size_t i = 0;
    while (i < length && (seen[i].inode != status.st_ino || seen[i].device != status.st_dev)) i++;
    if (i < length) continue;
    seen[length].device = status.st_dev;
    seen[length++].inode = status.st_ino;
    bytes += (uint64_t)status.st_blocks * BLOCK_BYTES;
  }
  closedir(folder);
  return bytes;
}

/* How much less there is; nothing when others have freed more. */
static uint64_t lost(uint64_t before, uint64_t now) { return now < before ? before - now : 0; }

bool space_is_exceeded(struct space *space, pid_t owner) {
  uint64_t bytes, files;
  if (!space->folder || !look(space->folder, &bytes, &files)) return false;
  if (bytes > space->free_bytes) space->free_bytes = bytes; /* else others would hide it */
  if (files > space->free_files) space->free_files = files;
  if (lost(space->free_bytes, bytes) <= space->most_bytes &&
      lost(space->free_files, files) <= space->most_files)
    return false;
  struct found found = {0, 0};
  count(open(space->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0, space, &found);
  found.bytes += unnamed_bytes(space, owner, true);
  if (found.bytes > space->most_bytes || found.files > space->most_files) return true;
  space->free_bytes = bytes; /* it was somebody else */
  space->free_files = files;
  return false;
}

#define SEGMENT_WORDS 15

/* Bytes that are resident of what process `maker` has made, which is removed on demand. Of "key shmid
 * perms size cpid ... rss swap", a line each, behind a line of names. */
static uint64_t segments(pid_t maker, bool remove) {
  static char text[65536];
  uint64_t bytes = 0;
  read_text("/proc/sysvipc/shm", text, sizeof text);
  for (const char *line = strchr(text, '\n'); line; line = strchr(line, '\n')) {
    uint64_t words[SEGMENT_WORDS] = {0};
    line++;
    for (int i = 0; i < SEGMENT_WORDS; i++) {
      while (*line == ' ') line++;
      words[i] = text_number(line + (*line == '-')); /* keys may be negative */
      while (*line && *line != ' ' && *line != '\n') line++;
    }
    if (words[4] != (uint64_t)maker) continue;
    bytes += words[14];
    if (remove) syscall(SYS_shmctl, (int)words[1], IPC_RMID, NULL);
  }
  return bytes;
}

void space_remove_shared_memory(pid_t maker) { segments(maker, true); }

bool space_memory_is_exceeded(struct space *space, pid_t owner, uint64_t most) {
  uint64_t bytes = shared_bytes();
  if (bytes < space->shared_bytes) space->shared_bytes = bytes;
  if (lost(bytes, space->shared_bytes) <= most) return false; /* it has grown less */
  space->shared_bytes = bytes;
  return unnamed_bytes(space, owner, false) + segments(owner, false) > most;
}
