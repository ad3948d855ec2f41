"""What disturbs a timed process, read off the kernel's own counters before and after it.

    load            CPU time of other processes: all that was busy, less what we used ourselves
    steal           time that the hypervisor gave to other guests
    heat            how often the CPU was throttled
    clock rate      of the timed CPU, just after the process
    memory          pages swapped, and time in which somebody waited for memory
    suspension      the machine slept

A debugger is seen by the process itself, which says so in its result. Reading takes a fraction of
a millisecond, outside of any timing. What a kernel or a container hides is None. CPU time comes
in the kernel's ticks of some 10 ms: a short process shows little.
"""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from allocphase.files.typed import Amount
from allocphase.machine.kernel_file import read_text

__all__ = ["Disturbance", "Snapshot", "Watch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What happened on the machine in `span_s`; None is what the kernel or a container hides.

    others_s: CPU time of other processes; clock_khz: of the timed CPU, just afterwards.
    """

    span_s: Amount
    others_s: Amount | None = None
    steal_s: Amount | None = None
    throttles: Amount | None = None
    swapped_pages: Amount | None = None
    stalled_s: Amount | None = None
    suspended_s: Amount | None = None
    clock_khz: Amount | None = None


_BUSY = ("user", "nice", "system", "irq", "softirq")
_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_STALLED = re.compile(r"^some .*\btotal=(\d+)", re.MULTILINE)
_SWAPPED = re.compile(r"^pswp(?:in|out) (\d+)$", re.MULTILINE)
_THROTTLES = ("core_throttle_count", "package_throttle_count")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counters at one moment; they only grow. `own_s`: CPU time of this process and its children
    that have ended. `slept_s`: by how much the clock that counts suspension is ahead.
    """

    at_s: float
    slept_s: float
    own_s: float
    busy_s: float | None
    steal_s: float | None
    throttles: int | None
    swapped_pages: int | None
    stalled_s: float | None


class Watch:
    """Looks at the machine around one process. `cpus`: where it is timed, the first most of all."""

    def __init__(
        self, cpus: Sequence[int], *, proc: Path = Path("/proc"), sys: Path = Path("/sys")
    ) -> None:
        self._folders = [sys / f"devices/system/cpu/cpu{cpu}" for cpu in cpus]
        self._proc = proc

    def started(self) -> Snapshot:
        """The counters now."""
        times = self._cpu_times()
        at_s = time.monotonic()
        return Snapshot(
            at_s=at_s,
            slept_s=time.clock_gettime(time.CLOCK_BOOTTIME) - at_s,
            own_s=_own_s(),
            busy_s=sum(times[name] for name in _BUSY) if times else None,
            steal_s=times.get("steal"),
            throttles=self._throttles(),
            swapped_pages=self._swapped_pages(),
            stalled_s=self._stalled_s(),
        )

    def since(self, before: Snapshot) -> Disturbance:
        """What happened since."""
        now = self.started()
        own_s = now.own_s - before.own_s
        busy_s = _grown(before.busy_s, now.busy_s)
        return Disturbance(
            span_s=round(now.at_s - before.at_s, 6),
            others_s=None if busy_s is None else round(max(busy_s - own_s, 0.0), 3),
            steal_s=_grown(before.steal_s, now.steal_s),
            throttles=_grown(before.throttles, now.throttles),
            swapped_pages=_grown(before.swapped_pages, now.swapped_pages),
            stalled_s=_grown(before.stalled_s, now.stalled_s),
            suspended_s=round(max(now.slept_s - before.slept_s, 0.0), 3),
            clock_khz=self._clock_khz(),
        )

    def _cpu_times(self) -> dict[str, float]:
        """Seconds by kind, over all CPUs; empty when they cannot be read."""
        line = _text(self._proc / "stat").partition("\n")[0].split()
        ticks = [int(value) for value in line[1:] if value.isdecimal()]
        if line[:1] != ["cpu"] or len(ticks) < len(_FIELDS):
            return {}
        per_second = os.sysconf("SC_CLK_TCK")
        return {name: ticks[index] / per_second for index, name in enumerate(_FIELDS)}

    def _throttles(self) -> int | None:
        files = [f / "thermal_throttle" / name for f in self._folders for name in _THROTTLES]
        counts = [int(text) for file in files if (text := _text(file).strip()).isdecimal()]
        return sum(counts) if counts else None

    def _swapped_pages(self) -> int | None:
        found = _SWAPPED.findall(_text(self._proc / "vmstat"))
        return sum(map(int, found)) if found else None

    def _stalled_s(self) -> float | None:
        found = _STALLED.search(_text(self._proc / "pressure" / "memory"))
        return int(found[1]) / 1e6 if found else None

    def _clock_khz(self) -> int | None:
        text = _text(self._folders[0] / "cpufreq" / "scaling_cur_freq") if self._folders else ""
        return int(text) if text.strip().isdecimal() else None


def _own_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _grown(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else round(max(now - before, 0), 3)


def _text(path: Path) -> str:
    """What a file of the kernel's says; nothing where it is absent or hidden."""
    return read_text(path) or ""
