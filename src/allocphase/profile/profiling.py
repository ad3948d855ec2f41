"""Profiles of several allocators on one scenario, all by the same tool: else nobody could compare
them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from allocphase import scenario as scenarios
from allocphase import trace as traces
from allocphase.allocator import Allocator
from allocphase.errors import UsageError
from allocphase.machine.valgrind import NOT_INSTALLED, find_valgrind
from allocphase.process.driver import Executor
from allocphase.profile import callgrind, perf
from allocphase.profile.perf import PerfError
from allocphase.profile.stacks import Profile
from allocphase.scenario import AnyScenario, Program, Recorded

__all__ = ["Profiled", "Tool", "profile"]

Tool = Literal["auto", "perf", "callgrind"]


@dataclass(frozen=True, slots=True)
class Profiled:
    """A profile an allocator, in the order in which they were named; fallen_back: why it is not
    perf's, where that was not asked for, else "".
    """

    scenario: AnyScenario
    profiles: tuple[Profile, ...]
    fallen_back: str = ""


def profile(
    allocators: Sequence[Allocator],
    scenario: AnyScenario,
    executor: Executor,
    *,
    tool: Tool,
    timeout_s: float,
    say: Callable[[str], None],
) -> Profiled:
    """Raises UsageError where the tool is not there, AllocphaseError where a process does not end
    well.
    """
    with tempfile.TemporaryDirectory(prefix="allocphase-profile-") as name:
        folder = Path(name)
        if isinstance(scenario, Program):
            return _of_program(allocators, scenario, executor, folder, tool, timeout_s)
        path = folder / "profiled.trace"
        if isinstance(scenario, Recorded):
            scenario.write(path)
        else:
            traces.write(scenarios.generate(scenario), path)
        reason = ""
        if tool != "callgrind":
            try:
                found = _by_perf(allocators, path, executor, folder, timeout_s)
                return Profiled(scenario, found)
            except PerfError as error:
                if tool == "perf":
                    raise UsageError(f"--tool perf: {error}") from None
                reason = str(error)
        if find_valgrind() is None:
            without = f"{reason}; and valgrind is {NOT_INSTALLED}" if reason else NOT_INSTALLED
            raise UsageError(f"profile needs perf or valgrind: {without}")
        if reason:
            say(f"{reason}; by callgrind, then")
        counted = tuple(
            callgrind.profiled(one, path, executor, timeout_s=timeout_s) for one in allocators
        )
        return Profiled(scenario, counted, reason)


def _by_perf(
    allocators: Sequence[Allocator],
    trace: Path,
    executor: Executor,
    folder: Path,
    timeout_s: float,
) -> tuple[Profile, ...]:
    found = []
    for number, one in enumerate(allocators):
        own = folder / str(number)
        own.mkdir()
        found.append(perf.profiled(one, trace, executor, own, timeout_s=timeout_s))
    return tuple(found)


def _of_program(
    allocators: Sequence[Allocator],
    program: Program,
    executor: Executor,
    folder: Path,
    tool: Tool,
    timeout_s: float,
) -> Profiled:
    """Only perf can: callgrind counts what lies between two functions of the driver."""
    if tool == "callgrind":
        raise UsageError("--tool callgrind is for scenarios with a trace: a program takes perf")
    found = []
    for number, one in enumerate(allocators):
        own = folder / str(number)
        own.mkdir()
        try:
            found.append(perf.profiled_program(one, program, executor, own, timeout_s=timeout_s))
        except PerfError as error:
            raise UsageError(f"the profile of a program needs perf: {error}") from None
    return Profiled(program, tuple(found))
