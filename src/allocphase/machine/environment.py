"""The machine: the facts kept with every run, and the CPUs to time on.

What cannot be read is None: containers and virtual machines hide much. `proc` and `sys` are where
the kernel's files lie. docs/schema.md says what each fact is for.
"""

from __future__ import annotations

import os
import platform
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from allocphase import __version__
from allocphase.files.elf import loaded_sha256
from allocphase.machine.kernel_file import chosen_word, read_text
from allocphase.machine.quota import cpu_quota
from allocphase.machine.valgrind import seen_features, valgrind_version

__all__ = ["environment", "timed_cpus"]

# Of /proc/cpuinfo, x86-64's and then aarch64's: which chip it is, whatever it is called.
_CHIP = {
    "cpu family": "family",
    "model": "model",
    "stepping": "stepping",
    "CPU implementer": "implementer",
    "CPU part": "part",
    "CPU variant": "variant",
    "CPU revision": "revision",
}
_CACHE_KINDS = {"Data": "d", "Instruction": "i"}
_LIBC = re.compile(r"/(libc\.so\.6|libc-2\.[\d.]+\.so|(ld|libc)[.-]musl-\w+\.so\.1)$")


def environment(
    proc: Path = Path("/proc"),
    sys: Path = Path("/sys"),
    *,
    tuning: Mapping[str, object] | None = None,
    simulated_caches: str | None = None,
) -> dict[str, object]:
    """Facts about the machine that figures depend on, by name.

    tuning: variables of the user's shell that are settings of allocators, and that what is
    measured has (--keep-allocator-environment); None for none. simulated_caches: chosen for
    callgrind (machine.simulated_caches), None where it simulates none.
    """
    cpuinfo = _cpuinfo(proc)
    cpus = os.sched_getaffinity(0)
    huge_pages = sys / "kernel/mm/transparent_hugepage"
    return {
        "allocphase": __version__,
        "cpu": cpuinfo.get("model name") or cpuinfo.get("CPU part") or platform.processor() or None,
        "chip": _chip(cpuinfo),
        "microcode": cpuinfo.get("microcode"),
        "machine": platform.machine(),
        "cpus": len(cpus),
        "cores": len({thread_siblings(cpu, sys=sys) or str(cpu) for cpu in cpus}),
        "smt": _switch(sys / "devices/system/cpu/smt/active"),
        "caches": _caches(sys),
        "cpu_quota": cpu_quota(proc, sys),
        "virtual": "hypervisor" in cpuinfo["flags"].split() if "flags" in cpuinfo else None,
        "governor": read_text(sys / "devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "boost": _boost(sys),
        "mitigations": _mitigations(sys),
        "kernel": platform.release(),
        "libc": _libc_version(),
        "libc_sha256": _libc_sha256(proc),
        "page_bytes": os.sysconf("SC_PAGE_SIZE"),
        "transparent_huge_pages": chosen_word(huge_pages / "enabled"),
        "huge_page_defrag": chosen_word(huge_pages / "defrag"),
        "huge_page_shmem": chosen_word(huge_pages / "shmem_enabled"),
        "huge_page_sizes": _huge_page_sizes(huge_pages),
        "overcommit": read_text(proc / "sys/vm/overcommit_memory"),
        "aslr": read_text(proc / "sys/kernel/randomize_va_space"),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "tuning": dict(tuning or {}),
        "valgrind": valgrind_version(),
        "valgrind_cpu": seen_features(cpuinfo, chip=_chip(cpuinfo)),
        "simulated_caches": simulated_caches,
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
    return read_text(sys / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")


def _cpuinfo(proc: Path) -> dict[str, str]:
    """What /proc/cpuinfo says of its first CPU."""
    first, _, _ = (read_text(proc / "cpuinfo") or "").partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _chip(cpuinfo: Mapping[str, str]) -> str | None:
    """ "family 25, model 17, stepping 1": clouds call several generations by one name."""
    known = [f"{word} {cpuinfo[key]}" for key, word in _CHIP.items() if key in cpuinfo]
    return ", ".join(known) or None


def _caches(sys: Path) -> dict[str, str] | None:
    """By level, such as "L1d", the size of the first CPU's cache as the kernel writes it: "32K"."""
    found = {}
    for folder in sorted((sys / "devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (read_text(folder / name) for name in ("level", "type", "size"))
        if level and kind and size:
            found[f"L{level}{_CACHE_KINDS.get(kind, '')}"] = size
    return found or None


def _switch(path: Path) -> bool | None:
    return {"0": False, "1": True}.get(read_text(path) or "")


def _boost(sys: Path) -> bool | None:
    """Whether the clock may rise above its nominal rate, while it is cool and others idle."""
    allowed = _switch(sys / "devices/system/cpu/cpufreq/boost")
    if allowed is not None:
        return allowed
    forbidden = _switch(sys / "devices/system/cpu/intel_pstate/no_turbo")
    return None if forbidden is None else not forbidden


def _mitigations(sys: Path) -> dict[str, str] | None:
    """By flaw of the CPU, the first thing that the kernel does about it; what the CPU has not is
    left out.
    """
    folder = sys / "devices/system/cpu/vulnerabilities"
    if not folder.is_dir():
        return None
    told = {path.name: read_text(path) or "" for path in sorted(folder.iterdir())}
    return {
        name: text.removeprefix("Mitigation: ").partition(";")[0]
        for name, text in told.items()
        if text and text != "Not affected"
    }


def _huge_page_sizes(folder: Path) -> dict[str, str] | None:
    """By size, such as "64kB", when pages of it are given; None where there is but one size."""
    sizes = {
        path.name.removeprefix("hugepages-"): chosen_word(path / "enabled")
        for path in folder.glob("hugepages-*kB")
    }
    known = {size: word for size, word in sizes.items() if word is not None}
    used = sorted((size for size in known if known[size] != "never"), key=lambda s: (len(s), s))
    return {size: known[size] for size in used} if known else None


def _libc_version() -> str | None:
    """Of the library in use; musl has no such name and is asked for in the interpreter's file."""
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        version = None
    return version or " ".join(platform.libc_ver()).strip() or None


def _libc_sha256(proc: Path) -> str | None:
    """Of the one that this process has loaded, as the driver does: distributions patch theirs, and
    keep its version.
    """
    for line in (read_text(proc / "self/maps") or "").splitlines():
        path = line.removesuffix(" (deleted)")
        if _LIBC.search(path):
            try:
                return loaded_sha256(Path(path[path.index("/") :]))
            except OSError:
                return None
    return None
