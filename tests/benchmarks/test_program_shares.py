"""The share of each program that comes along in its malloc: the figures of `share_in_malloc`.

perf samples the user time of all processes and threads (cpu-clock, which needs no counter of the
CPU) while jemalloc is preloaded, and the share is that of the samples in jemalloc's library: of a
malloc that is a library of its own this needs no symbols, and it says nothing of libc's own. Left
out are the system's time, page faults included, and what libc copies and clears for realloc and
calloc. A share is of time, on one machine.

Figures are for reading and for copying into the scenarios' files; `make benchmark` prints them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase import allocator
from allocphase.scenario import Program, load
from tests.benchmarks.conftest import Say
from tests.support.plugins import ROOT

# A process's first sample is a whole period after its start, so that at 1,000 Hz bash's subshells
# (some 0.2 ms each) have almost none: the share would be mostly their parent's.
HZ = "20000"
RUNS = 3
QUICK = "program-xz"
MAPPED = "PERF_RECORD_MMAP"


@dataclass(frozen=True, slots=True)
class Share:
    """Of `samples` of user time, `inside` were in the allocator's library."""

    inside: int
    samples: int

    @property
    def percent(self) -> float:
        return 100 * self.inside / self.samples


def told(shares: Sequence[Share]) -> str:
    """Of all runs together, with the least and the most of one."""
    inside, samples = sum(one.inside for one in shares), sum(one.samples for one in shares)
    each = [one.percent for one in shares]
    runs = f"{min(each):.1f} to {max(each):.1f} in {len(each)} runs"
    return f"{Share(inside, samples).percent:.1f}% ({runs}, {samples:,} samples)"


def measured(program: Program, library: Path, folder: Path, *, runs: int) -> list[Share]:
    """Some runs of the program with the library preloaded. Raises CalledProcessError."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    program.make_inputs(inputs)
    return [sampled(program, library, inputs, folder / str(run)) for run in range(runs)]


def sampled(program: Program, library: Path, inputs: Path, folder: Path) -> Share:
    """One run."""
    work, data = folder / "work", folder / "perf.data"
    work.mkdir(parents=True)
    variables = {"PATH": os.environ["PATH"], **program.variables(inputs), "LD_PRELOAD": library}
    command = ["perf", "record", "-q", "-B", "-e", "cpu-clock:u", "-F", HZ, "-o", str(data), "--"]
    command += ["env", "-i", *(f"{key}={value}" for key, value in variables.items())]
    command += program.arguments(inputs)
    subprocess.run(command, cwd=work, stdout=subprocess.DEVNULL, check=True)
    script = ["perf", "script", "-i", str(data), "--show-mmap-events", "-F", "comm,ip,dso"]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    return counted(done.stdout.splitlines(), library)


def counted(lines: list[str], library: Path) -> Share:
    """What `perf script` printed: a line a sample, which ends in its object in brackets, and one
    for each mapping, of which the library must have one, or it was never loaded.
    """
    file = str(library.resolve())
    assert any(MAPPED in line and file in line for line in lines), f"{file} was not loaded"
    samples = [line for line in lines if MAPPED not in line and line.strip()]
    assert samples, "no samples"
    return Share(sum(line.endswith(f"({file})") for line in samples), len(samples))


def test_the_share_of_every_program_in_its_malloc(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    jemalloc = allocator.resolve("jemalloc")[0]
    if shutil.which("perf") is None or jemalloc.path is None or jemalloc.missing:
        pytest.skip("needs perf and jemalloc")
    library = Path(jemalloc.path)
    found = [load(path) for path in sorted((ROOT / "scenarios").glob("program-*.toml"))]
    programs = [one for one in found if isinstance(one, Program) and (full or one.name == QUICK)]
    table: dict[str, str] = {}

    def fill() -> None:
        for program in programs:
            name = program.name
            table[name] = program.missing or told(
                measured(program, library, tmp_path / name, runs=RUNS if full else 1)
            )
            say(f"{name:24} {table[name]}")

    benchmark.pedantic(fill, rounds=1, iterations=1)
    benchmark.extra_info["shares"] = table
    assert set(table) == {one.name for one in programs}
