#include "fence.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h, which older systems do not have, or not all of. */
#define CREATE_RULESET 444 /* the same on every architecture, as 445 and 446 */
#define ADD_RULE 445
#define RESTRICT_SELF 446
#define VERSION_FLAG 1u
#define PATH_BENEATH 1

#define FS(bit) (UINT64_C(1) << (bit))
#define WRITE_FILE FS(1)
#define REMOVE_DIR FS(4)
#define REMOVE_FILE FS(5)
#define MAKE_CHAR FS(6)
#define MAKE_DIR FS(7)
#define MAKE_REG FS(8)
#define MAKE_SOCK FS(9)
#define MAKE_FIFO FS(10)
#define MAKE_BLOCK FS(11)
#define MAKE_SYM FS(12)
#define REFER FS(13)     /* version 2: else never permitted */
#define TRUNCATE FS(14)  /* version 3 */
#define IOCTL_DEV FS(15) /* version 5 */

#define ABSTRACT_SOCKETS FS(0) /* both of version 6 */
#define SIGNALS FS(1)

struct ruleset {
  uint64_t files;
  uint64_t network;
  uint64_t scoped;
};

struct __attribute__((packed)) beneath {
  uint64_t allowed;
  int32_t folder;
};

static uint64_t known_to(long version) {
  uint64_t rights = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_CHAR | MAKE_DIR | MAKE_REG |
                    MAKE_SOCK | MAKE_FIFO | MAKE_BLOCK | MAKE_SYM;
  if (version >= 2) rights |= REFER;
  if (version >= 3) rights |= TRUNCATE;
  if (version >= 5) rights |= IOCTL_DEV;
  return rights;
}

/* What is not there cannot be written either. A file takes no rights of folders. */
static void allow(int ruleset, const char *path, uint64_t rights) {
  struct beneath rule = {rights, open(path, O_PATH | O_CLOEXEC)};
  struct stat status;
  if (rule.folder < 0) return;
  if (fstat(rule.folder, &status) == 0 && !S_ISDIR(status.st_mode))
    rule.allowed &= WRITE_FILE | TRUNCATE | IOCTL_DEV;
  syscall(ADD_RULE, ruleset, PATH_BENEATH, &rule, 0);
  close(rule.folder);
}

void fence_close(const char *const *folders, size_t count) {
  static const char *const for_all[] = {"/proc/self", "/dev/null",    "/dev/zero",
                                        "/dev/full",  "/dev/random", "/dev/urandom"};
  long version = syscall(CREATE_RULESET, NULL, 0, VERSION_FLAG);
  if (version < 1) return;
  uint64_t rights = known_to(version);
  struct ruleset asked = {.files = rights};
  if (version >= 6) asked.scoped = ABSTRACT_SOCKETS | SIGNALS;
  int ruleset = (int)syscall(CREATE_RULESET, &asked, sizeof asked, 0);
  if (ruleset < 0) return;
  for (size_t i = 0; i < count; i++) allow(ruleset, folders[i], rights);
  for (size_t i = 0; i < sizeof for_all / sizeof *for_all; i++)
    allow(ruleset, for_all[i], (WRITE_FILE | TRUNCATE | IOCTL_DEV) & rights);
  syscall(RESTRICT_SELF, ruleset, 0);
  close(ruleset);
}

static uint32_t kept(uint32_t word) {
  const uint32_t rights = (1u << CAP_DAC_OVERRIDE) | (1u << CAP_DAC_READ_SEARCH) |
                          (1u << CAP_IPC_LOCK);
  return word == 0 ? rights : 0;
}

void fence_give_up_privileges(void) {
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  for (unsigned long right = 0; right < 64; right++)
    if (right >= 32 || !(kept(0) & (1u << right))) prctl(PR_CAPBSET_DROP, right, 0, 0, 0);
  if (syscall(SYS_capget, &head, data) != 0) return;
  for (uint32_t word = 0; word < 2; word++) {
    data[word].permitted &= kept(word);
    data[word].effective &= kept(word);
    data[word].inheritable = 0;
  }
  syscall(SYS_capset, &head, data);
}
