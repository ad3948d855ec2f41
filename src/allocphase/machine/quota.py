"""How much CPU time the control groups of this process leave it.

A quota stops every thread of a group that has used it up until its period ends, in the middle of
whatever is timed. Version 2 has it in cpu.max, version 1 in cpu.cfs_quota_us and its period;
kernel: Documentation/admin-guide/cgroup-v2.rst and Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from allocphase.machine.kernel_file import read_text

__all__ = ["cpu_quota"]


def cpu_quota(proc: Path, sys: Path) -> float | str | None:
    """In CPUs, the least that this process's groups and those above them allow; "unlimited" where
    none limits it, None where none of them can be read.
    """
    found = [_limit(folder) for folder in _groups(proc, sys / "fs/cgroup")]
    least = min((limit for limit in found if limit is not None), default=None)
    return "unlimited" if least == math.inf else least


def _groups(proc: Path, root: Path) -> Iterator[Path]:
    """The folders of the groups, innermost first. In a container the path may be the host's: then
    the root that is mounted is the container's own group.
    """
    for line in (read_text(proc / "self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        inner = PurePosixPath(place.lstrip("/"))
        for top in (root / controllers,) if controllers else (root, root / "unified"):
            yield from (top / part for part in (inner, *inner.parents))


def _limit(folder: Path) -> float | None:
    """In CPUs, infinite without a quota; None where the folder says nothing of it."""
    whole = read_text(folder / "cpu.max")
    if whole is None:
        parts = (read_text(folder / f"cpu.cfs_{part}_us") for part in ("quota", "period"))
        whole = " ".join(part or "" for part in parts)
    quota, _, period = whole.partition(" ")
    if quota in ("max", "-1"):
        return math.inf
    try:
        return round(int(quota) / int(period), 3)
    except (ValueError, ZeroDivisionError):
        return None
