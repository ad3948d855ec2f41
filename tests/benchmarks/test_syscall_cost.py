"""What does it cost to see a system call and to know which operation made it?"""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase import allocator, resources
from tests.benchmarks.conftest import MakeTrace, Say

CALLS = 2000  # phase2 on phase-report: an mmap for each malloc, a munmap for each free


def _pass_ns(trace: Path, folder: Path, *, backend: str, prefix: tuple[str, ...] = ()) -> int:
    """Nanoseconds that the pass took, by the driver's own clock."""
    folder.mkdir(exist_ok=True)
    phase2 = allocator.resolve("phase2")[0]
    command = [*prefix, str(resources.find("driver/allocphase-driver")), "--trace", str(trace)]
    command += ["--out", str(folder), "--probe", "syscalls", "--syscall-backend", backend]
    command += ["--plugin", str(phase2.path), "--set", "objects_per_slab=1"]
    subprocess.run(command, check=True, capture_output=True)
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "ok"
    return int(result["syscalls"]["pass_ns"])


@pytest.mark.parametrize("observer", ["dispatch", "ptrace", "strace -c"])
def test_seeing_a_system_call_costs(
    observer: str,
    benchmark: BenchmarkFixture,
    full: bool,
    say: Say,
    trace_of: MakeTrace,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    prefix: tuple[str, ...] = ()
    if observer == "strace -c":
        prefix = (request.getfixturevalue("strace"), "-c", "-f")
    trace = trace_of("phase-report")
    backend = "mark" if prefix else observer
    costs: list[float] = []

    def measure() -> None:
        alone = _pass_ns(trace, tmp_path / "alone", backend="mark")
        seen = _pass_ns(trace, tmp_path / "seen", backend=backend, prefix=prefix)
        costs.append((seen - alone) / CALLS)

    benchmark.pedantic(measure, rounds=15 if full else 1, iterations=1)
    cost_us = statistics.median(costs) / 1000
    benchmark.extra_info["cost_per_call_us"] = cost_us
    say(f"{observer}: {cost_us:.2f} µs for each system call, over the call itself")
    assert len(costs) > 0
