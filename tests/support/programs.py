"""Programs of runs that tests write: what run.json says of one, and what its processes left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from allocphase.files.typed import read
from allocphase.probe.arrays import LOOK, Arrays
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result
from allocphase.probe.status import Status
from allocphase.run.plan import COUNT_PROCESSES
from allocphase.store.manifest import ProgramEntry, ScenarioEntry
from allocphase.store.record import ProcessRecord
from tests.support.manifests import scenario_entry

__all__ = ["LOOKS", "PEAK_RSS_BYTES", "program_entry", "program_processes"]

# Of each allocator in its place: the first one's are the baseline's.
WALL_NS = (1e9, 0.8e9, 1.02e9, 2e9, 1.1e9)
PEAK_RSS_BYTES = (8 << 20, 12 << 20, 8 << 20, 64 << 20, 8 << 20)
LOOKS = 50


def program_entry(name: str) -> ScenarioEntry:
    """A command with markup in it."""
    program = ProgramEntry(command=("echo", "<b>x</b>"))
    return scenario_entry(name, 0, family="", peak_live_bytes=0, program=program)


def program_processes(
    name: str, allocators: Sequence[str], *, rounds: int, first_id: int
) -> Iterator[tuple[ProcessRecord, Arrays]]:
    """Of both probes. The third allocator is faster than the first in one round, slower in the
    others; the second's counts differ from process to process.
    """
    number = first_id
    for place, allocator in enumerate(allocators):
        for turn in range(rounds):
            wall_ns = WALL_NS[place] * (1 + 0.01 * turn)
            if place == 2 and turn == 0:
                wall_ns *= 0.9
            part = _part(round(wall_ns), faults=100)
            yield _record(number, turn, 0, allocator, name, Probe.PROGRAM, part), {}
            number += 1
        for repeat in range(COUNT_PROCESSES):
            more = repeat if place == 1 else 0
            peak = PEAK_RSS_BYTES[place] + 4096 * more
            part = {
                **_part(round(WALL_NS[place]), faults=1000 * (1 + place) + more),
                "peak_tree_rss_bytes": peak,
            }
            record = _record(number, 0, repeat, allocator, name, Probe.PROGRAM_MEMORY, part)
            yield record, {"tree": _looks(WALL_NS[place], peak)}
            number += 1


def _part(wall_ns: int, *, faults: int) -> dict[str, Any]:
    return {
        "wall_ns": wall_ns,
        "user_ns": wall_ns // 2,
        "system_ns": wall_ns // 4,
        "largest_rss_bytes": 1 << 20,
        "minor_faults": faults,
        "major_faults": 0,
        "voluntary_switches": 7,
        "involuntary_switches": 3,
        "wait_status": 0,
        "output_bytes": 1,
        "output_sha256": "3" * 64,
        "processes": 1,
    }


def _looks(wall_ns: float, peak_bytes: int) -> Any:
    """Rises to its peak in the middle, and ends with the half of it."""
    looks = np.zeros(LOOKS, dtype=LOOK)
    looks["time_ns"] = np.linspace(0, wall_ns, LOOKS)
    looks["rss_bytes"] = peak_bytes // 2
    looks["rss_bytes"][LOOKS // 2] = peak_bytes
    return looks


def _record(
    number: int,
    turn: int,
    repeat: int,
    allocator: str,
    scenario: str,
    probe: Probe,
    part: dict[str, Any],
) -> ProcessRecord:
    return ProcessRecord(
        id=number,
        round=turn,
        repeat=repeat,
        allocator=allocator,
        scenario=scenario,
        probe=probe,
        status=Status.OK,
        message="",
        wall_s=0.1,
        result=read(Result, {probe.value: part}),
    )
