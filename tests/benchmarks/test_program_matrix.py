"""Every program that comes along under every allocator that is installed: right, or which fault.

`make benchmark` leaves out whom a run without -a leaves out of programs, too: phases that take a
system call a malloc are a hundred times slower. With ALLOCPHASE_PROGRAMS=all they take part, and as
each run may take five minutes (ALLOCPHASE_PROGRAM_TIMEOUT=SECONDS says otherwise), it takes hours.
One run of a cell is enough for its output; its time is for reading.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from allocphase import allocator
from allocphase.allocator import Allocator
from allocphase.probe.probe import Probe
from allocphase.probe.result import Program as Measured
from allocphase.probe.status import Status
from allocphase.process.driver import DriverExecutor, Outcome
from allocphase.process.program import ProgramExecutor, ProgramJob
from allocphase.scenario import Program, load
from allocphase.text.units import format_ns
from tests.benchmarks.conftest import Say
from tests.support.plugins import ROOT

EVERYTHING = os.environ.get("ALLOCPHASE_PROGRAMS") == "all"
TIMEOUT_S = float(os.environ.get("ALLOCPHASE_PROGRAM_TIMEOUT", "300"))
FASTEST = "program-bash-subshells"
# They serve a program's malloc well enough for everyday use: a fault of theirs is a defect.
SOUND = ("libc", "phase3")


def installed_allocators() -> list[Allocator]:
    """libc first, which the outputs are held against."""
    found = [one for one in allocator.collected().values() if one.correct and not one.missing]
    return sorted(found, key=lambda one: one.name != "libc")


def installed_programs() -> list[Program]:
    found = [load(path) for path in sorted((ROOT / "scenarios").glob("program-*.toml"))]
    return [one for one in found if isinstance(one, Program) and one.missing is None]


def takes_part(program: Program, chosen: Allocator, *, full: bool) -> bool:
    usual = any(fnmatchcase(program.name, pattern) for pattern in chosen.default_scenarios)
    return EVERYTHING or (full and usual) or chosen.name in SOUND


def ran(program: Program, chosen: Allocator, inputs: Path) -> Outcome:
    job = ProgramJob(
        id=0,
        round=0,
        allocator=chosen,
        scenario=program.name,
        probe=Probe.PROGRAM,
        cpus=tuple(sorted(os.sched_getaffinity(0))),
        timeout_s=TIMEOUT_S,
        program=program,
        inputs=inputs,
    )
    return ProgramExecutor(DriverExecutor()).run(job)


def verdict(outcome: Outcome, right_sha256: str) -> str:
    """ "right, 1.2 s", or the fault."""
    if outcome.status is not Status.OK:
        return f"{outcome.status.value}: {outcome.message}"
    found = outcome.result.part(Measured)
    if found.output_sha256 != right_sha256:
        return "corrupt: its output is another than under libc"
    return f"right, {format_ns(found.wall_ns)}"


def test_the_whole_set_is_right_under_everything_or_its_fault_is_named(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    programs = [one for one in installed_programs() if full or EVERYTHING or one.name == FASTEST]
    table: dict[tuple[str, str], str] = {}

    def fill() -> None:
        for program in programs:
            inputs = tmp_path / program.name / "inputs"
            inputs.mkdir(parents=True)
            program.make_inputs(inputs)
            right = ""
            for one in installed_allocators():
                if not takes_part(program, one, full=full):
                    continue
                outcome = ran(program, one, inputs)
                if one.name == "libc" and outcome.status is Status.OK:
                    right = outcome.result.part(Measured).output_sha256
                table[program.name, one.name] = verdict(outcome, right)
                say(f"{program.name:24} {one.name:14} {table[program.name, one.name]}")

    benchmark.pedantic(fill, rounds=1, iterations=1)
    benchmark.extra_info["table"] = {f"{p} under {a}": text for (p, a), text in table.items()}
    assert {program for program, _ in table} == {one.name for one in programs}
    for (program, name), text in table.items():
        assert text.startswith("right, ") or name not in SOUND, f"{program} under {name}: {text}"
