"""Git repositories that tests make: commits of a small allocator, fine ones and slower ones."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FINE", "SLOWER", "GitRepository", "made_repository", "working"]

_WHO = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "gc.auto=0")

# Blocks of 4 KiB on a free list, and no larger ones. WORK is where what makes it slower is planted:
# a microsecond, where the rest takes ten nanoseconds, and a system call, which any gate counts.
_ALLOCATOR = """
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <allocphase.h>

enum { BLOCK = 4096, BLOCKS = 4096 };
static char *pool;
static void *first;

static int blocks_init(const struct allocphase_config *config) {
  (void)config;
  pool = mmap(NULL, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pool == MAP_FAILED) return 12;
  first = NULL;
  for (int i = BLOCKS - 1; i >= 0; i--) {
    *(void **)(pool + (size_t)i * BLOCK) = first;
    first = pool + (size_t)i * BLOCK;
  }
  return 0;
}

static void blocks_fini(void) { munmap(pool, BLOCK * BLOCKS); }

static void *blocks_malloc(size_t size) {
  void *block = first;
  if (size > BLOCK || !block) return NULL;
  WORK
  first = *(void **)block;
  return block;
}

static void blocks_free(void *block) {
  *(void **)block = first;
  first = block;
}

static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = blocks_init,
    .fini = blocks_fini,
    .malloc = blocks_malloc,
    .free = blocks_free,
};

const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
"""
FINE = _ALLOCATOR.replace("WORK", "")
SLOWER = _ALLOCATOR.replace(
    "WORK", "for (volatile int i = 0; i < 2000; i++) continue;\n  sched_yield();"
)


def working(loops: int) -> str:
    """The same allocator, whose malloc also counts so far: its time grows with that."""
    return _ALLOCATOR.replace("WORK", f"for (volatile int i = 0; i < {loops}; i++) continue;")


@dataclass(frozen=True, slots=True)
class GitRepository:
    """One in a folder of a test, which is its working tree."""

    folder: Path

    def git(self, *arguments: str) -> str:
        """What git says, in the working tree."""
        done = subprocess.run(
            ["git", *_WHO, *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, message: str, files: dict[str, str] | None = None) -> str:
        """Commits these files, or nothing; the commit's id."""
        for name, text in (files or {}).items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def state(self) -> dict[str, bytes]:
        """Every file below the folder, of the working tree and of git's, but for its objects."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and ".git/objects" not in str(path)
        }


def made_repository(folder: Path) -> GitRepository:
    """A new one on a branch `main`, without a commit."""
    folder.mkdir(parents=True)
    made = GitRepository(folder)
    made.git("init", "--quiet", "--initial-branch=main")
    return made
