"""An allocator's stacks by the instructions of one warm replay, as callgrind counts them.

The process is one of the instructions probe (driver/probes/instructions.c) in which callgrind tells
a function apart by its callers: so each function has its whole stack in its name, and what it took
by itself in that one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from allocphase import resources
from allocphase.allocator import Allocator
from allocphase.files.regular import opened
from allocphase.probe.probe import Probe
from allocphase.process.callgrind import COUNTED, MAX_PROFILE_BYTES, Costs, read_costs
from allocphase.process.driver import Executor, TraceJob
from allocphase.profile.stacks import FOREIGN, Frame, Kind, Profile, merged
from allocphase.text.units import counted

__all__ = ["profiled", "stacks_of"]

# Deeper than any allocator's calls; what is called from deeper is told apart by its nearest ones.
CALLERS = 24
# Between two functions of a stack; C++ has it in the names of its lambdas.
_BETWEEN = re.compile(r"(?<!::)(?<!lambda)'")
# What callgrind calls a function of which it knows only where it lies in its object.
_OFFSET = re.compile(r"^0x0*(?=[0-9a-f])")
# What callgrind calls an object that it has not seen loaded, and a file without debug information.
UNKNOWN = "???"
# How often callgrind says that a function calls itself: "malloc'2" is the second call in a row.
_DEPTH = re.compile(r"\d+")


def profiled(allocator: Allocator, trace: Path, executor: Executor, *, timeout_s: float) -> Profile:
    """Of one allocator. Raises AllocphaseError where its process does not end well, UsageError
    where there is no valgrind.
    """
    path = trace.parent / f"{trace.name}.callgrind"
    outcome = executor.run(
        TraceJob(
            id=0,
            round=0,
            allocator=allocator,
            scenario=trace.stem,
            probe=Probe.INSTRUCTIONS,
            cpus=(),
            timeout_s=timeout_s,
            options={"fixed-addresses": "1"},
            trace=trace,
            profile=path,
            callers=CALLERS,
        )
    )
    outcome.require(allocator)
    with opened(path, max_bytes=MAX_PROFILE_BYTES) as file:
        costs = read_costs(file)
    path.unlink()
    library = "" if allocator.path is None else str(allocator.path.absolute())
    stacks, rest = stacks_of(costs, resources.find("driver/allocphase-driver"), library)
    operations = outcome.result.repeated_operations
    total = sum(stacks.values())
    return Profile(
        allocator=allocator.name,
        tool="callgrind",
        unit="instructions",
        stacks=stacks,
        rest={FOREIGN[0]: rest},
        per_op=total / operations if operations else None,
        op_unit="instructions",
        how=f"callgrind {costs.version}: one warm replay of {counted(operations, 'operation')}",
    )


def stacks_of(costs: Costs, driver: Path, library: str) -> tuple[dict[tuple[Frame, ...], int], int]:
    """The allocator's stacks, and what the rest took. library: the allocator's own object, "" for
    libc's.
    """
    chains = {key: _chain(key[1]) for key in costs.own}
    objects = {chain[0]: key[0] for key, chain in chains.items()}
    sources = _sources(costs, chains)
    stacks: dict[tuple[Frame, ...], int] = {}
    rest = 0
    for key, chain in chains.items():
        inner = _inside(chain)
        cost = costs.own[key]
        if not inner or Path(key[0]).name == driver.name:
            rest += cost
            continue
        frames = [
            _frame(name, objects.get(name, key[0]), library, sources.get(name, ""))
            for name in inner
        ]
        stack = merged(frames[::-1])
        stacks[stack] = stacks.get(stack, 0) + cost
    return stacks, rest


def _chain(name: str) -> list[str]:
    """The function and its callers, innermost first."""
    return [part for part in _BETWEEN.split(name) if not _DEPTH.fullmatch(part)]


def _inside(chain: list[str]) -> list[str]:
    """Those from the call on that the driver makes of the allocator, innermost first; none where it
    makes none.
    """
    places = (
        at for at, name in enumerate(chain) if name.startswith(COUNTED) and name != "counted_replay"
    )
    return chain[: next(places, 0)]


def _frame(name: str, path: str, library: str, source: str) -> Frame:
    """Of code whose object callgrind does not know, an allocator's in a section of its own."""
    mine = path == UNKNOWN or _is_same(path, library)
    file = Path(library).name if path == UNKNOWN and library else Path(path).name
    kind = Kind.ALLOCATOR if mine else Kind.OTHER
    return Frame(_OFFSET.sub("0x", name).partition("@")[0], file, kind, source)


def _is_same(path: str, library: str) -> bool:
    if not library:
        return Path(path).name.startswith(("libc.so", "libc-2"))
    return Path(path).resolve() == Path(library).resolve()


def _sources(costs: Costs, chains: Mapping[tuple[str, str], list[str]]) -> dict[str, str]:
    """By function its costliest line, of those that have debug information."""
    lines: dict[str, dict[tuple[str, int], int]] = {}
    for key, chain in chains.items():
        mine = lines.setdefault(chain[0], {})
        for place, cost in costs.lines[key].items():
            mine[place] = mine.get(place, 0) + cost
    best = {name: max(found, key=lambda place: found[place]) for name, found in lines.items()}
    return {
        name: f"{Path(file).name}:{line}"
        for name, (file, line) in best.items()
        if file not in ("", UNKNOWN) and line > 0
    }
