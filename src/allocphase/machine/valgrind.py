"""valgrind: where it lies, which version it is, and the CPU that it shows to what runs under it.

libc chooses among its variants of memcpy, memset and others by what CPUID says when a process
starts. Under valgrind that is no silicon's answer. VEX answers as one of five CPUs of its own, each
with caches of one size and none with AVX-512: the best one that the machine's instructions allow
(VEX/priv/guest_amd64_toIR.c, at CPUID, by what coregrind/m_machine.c has found). Only that choice
is a fact, and neither the machine's name nor what valgrind hides: two machines of one answer run
the same instructions. What a kernel leaves out of /proc/cpuinfo though the CPU says that it has it,
such as a faulty RDSEED, is not known here.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Mapping, Set
from pathlib import Path

__all__ = ["NOT_INSTALLED", "find_valgrind", "seen_features", "valgrind_version"]

NOT_INSTALLED = "not installed: apt-get install valgrind"

# VEX's CPUs of x86-64, the best first: what /proc/cpuinfo must have for each. Without all of
# these there is a baseline of SSE2.
_SHOWN_CPUS = {
    "avx2": {"ssse3", "cx16", "avx", "avx2"},
    "avx": {"ssse3", "cx16", "avx"},
    "sse4.2": {"ssse3", "cx16", "rdtscp"},
    "ssse3": {"ssse3", "cx16"},
}
_BASELINE = "sse2"
# What the first two show only where the machine has it.
_PASSED_ON = {"f16c", "rdrand", "rdseed"}
_PASSING_ON = ("avx2", "avx")
# Of aarch64, what AT_HWCAP keeps (coregrind/m_initimg/initimg-linux.c); not tried on one.
_KEPT = {"fp", "asimd", "aes", "pmull", "sha1", "sha2", "crc32", "atomics", "asimddp"}
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
    """The CPU that a process sees under valgrind: which of VEX's, and what of the machine's it
    shows, in alphabetical order; None where /proc/cpuinfo lists no features.

    chip: part of it on aarch64, where older versions let it through.
    """
    if "flags" in cpuinfo:
        return _shown_cpu(frozenset(cpuinfo["flags"].split()))
    if "Features" not in cpuinfo:
        return None
    return f"{' '.join(sorted(_KEPT.intersection(cpuinfo['Features'].split())))}; {chip}"


def _shown_cpu(flags: Set[str]) -> str:
    name = next((cpu for cpu, needed in _SHOWN_CPUS.items() if needed <= flags), _BASELINE)
    passed_on = flags & _PASSED_ON if name in _PASSING_ON else set()
    return " ".join([name, *sorted(passed_on)])
