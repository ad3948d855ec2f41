"""How much memory there is for whatever this process starts."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from allocphase.machine.kernel_file import read_text

__all__ = ["half_of_memory"]

_CGROUP_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")


def half_of_memory() -> int:
    """Bytes: half of what the machine has, or the container that this process is in."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            limits.append(int(read_text(Path("/sys/fs/cgroup", name)) or "max"))
    return min(limits) // 2
