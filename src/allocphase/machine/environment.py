"""The machine: the fingerprint kept with every run, and the CPUs to time on."""

from __future__ import annotations

import os
import platform
from collections import Counter
from pathlib import Path

from allocphase import __version__

__all__ = ["environment", "timed_cpus"]

# Settings that change what an allocator does; kept with the run when the user has set them.
_TUNING_PREFIXES = (
    "GLIBC_TUNABLES",
    "MALLOC_",
    "MIMALLOC_",
    "SCUDO_",
    "TCMALLOC_",
)


def environment() -> dict[str, object]:
    """Facts about the machine that figures depend on; what cannot be read is None."""
    return {
        "allocphase": __version__,
        "cpu": _cpu_model(),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "cores": len({thread_siblings(cpu) or str(cpu) for cpu in os.sched_getaffinity(0)}),
        "virtual": _is_virtual(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "page_bytes": os.sysconf("SC_PAGE_SIZE"),
        "transparent_huge_pages": _chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
        "aslr": _read("/proc/sys/kernel/randomize_va_space"),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "tuning": {k: v for k, v in os.environ.items() if k.startswith(_TUNING_PREFIXES)},
    }


def timed_cpus(sys: Path = Path("/sys")) -> list[int]:
    """The CPUs that this process may use, the last first: CPU 0 serves most interrupts.

    Of those that share a core, one each comes before any second one: two threads of a trace
    must not time each other's half of a core as long as there are whole ones.
    """
    cpus = sorted(os.sched_getaffinity(0), reverse=True)
    seen: Counter[str] = Counter()
    rank = {}
    for cpu in cpus:
        core = thread_siblings(cpu, sys=sys) or str(cpu)
        rank[cpu] = seen[core]
        seen[core] += 1
    return sorted(cpus, key=lambda cpu: (rank[cpu], -cpu))


def thread_siblings(cpu: int, *, sys: Path = Path("/sys")) -> str | None:
    """The CPUs of its core as the kernel lists them, such as "0-1" or "3,11"."""
    return _read(str(sys / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"))


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def _chosen(path: str) -> str | None:
    """The word in brackets: "always [madvise] never" -> "madvise"."""
    text = _read(path)
    if text is None or "[" not in text:
        return text
    return text.partition("[")[2].partition("]")[0]


def _cpuinfo(key: str) -> str | None:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _cpu_model() -> str:
    return _cpuinfo("model name") or _cpuinfo("CPU part") or platform.processor() or "unknown"


def _is_virtual() -> bool:
    return "hypervisor" in (_cpuinfo("flags") or "").split()
