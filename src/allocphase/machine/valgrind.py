"""valgrind: where it lies, which version it is, and the CPU that it shows to what runs under it.

libc chooses among its variants of memcpy, memset and others by what CPUID says when a process
starts. Under valgrind that is no silicon's answer: VEX has a few CPUs of its own (none with
AVX-512, each with caches of one size) and shows the best one that the machine's instructions allow.
So of the machine's features those count by which VEX chooses (VEX/pub/libvex.h,
VEX_HWCAPS_AMD64_*), and neither its name nor what valgrind hides.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["NOT_INSTALLED", "find_valgrind", "seen_features", "valgrind_version"]

NOT_INSTALLED = "not installed: apt-get install valgrind"

# As /proc/cpuinfo names them, of x86-64.
_CHOSEN_BY = frozenset(
    [
        "pni",
        "ssse3",
        "cx16",
        "abm",
        "avx",
        "rdtscp",
        "bmi1",
        "avx2",
        "f16c",
        "fma",
        "fma4",
        "rdrand",
        "rdseed",
    ]
)
# Of aarch64: it has no scalable vectors under valgrind.
_HIDDEN = ("sve", "sme")
_VERSION_TIMEOUT_S = 20.0


def find_valgrind() -> Path | None:
    """The program itself: Debian's command is a shell script around it, whose work nobody needs."""
    found = shutil.which("valgrind.bin") or shutil.which("valgrind")
    return None if found is None else Path(found)


def valgrind_version() -> str | None:
    """Such as "valgrind-3.19.0"; None where it is not installed, or does not say."""
    found = find_valgrind()
    return None if found is None else _version_of(found)


@functools.cache
def _version_of(valgrind: Path) -> str | None:
    command = [str(valgrind), "--version"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_VERSION_TIMEOUT_S
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def seen_features(cpuinfo: Mapping[str, str], *, chip: str | None) -> str | None:
    """What decides which CPU a process sees under valgrind, in words in alphabetical order; None
    where /proc/cpuinfo lists no features. chip: part of it where valgrind lets it through.
    """
    if "flags" in cpuinfo:
        return " ".join(sorted(_CHOSEN_BY.intersection(cpuinfo["flags"].split())))
    if "Features" not in cpuinfo:
        return None
    seen = [word for word in cpuinfo["Features"].split() if not word.startswith(_HIDDEN)]
    return f"{' '.join(sorted(seen))}; {chip}"
