"""Is the null allocator a floor: is it below phase3 on every scenario of the default set?"""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase import allocator, resources, scenario
from tests.benchmarks.conftest import MakeTrace, Say

NAMES = [one.name for one in scenario.resolve("default")]


def _time_per_op_ns(name: str, trace: Path, folder: Path) -> float:
    """What one process says: the median of its warm replays."""
    path = allocator.resolve(name)[0].path
    command = [str(resources.find("driver/allocphase-driver")), "--trace", str(trace)]
    command += ["--out", str(folder), "--probe", "throughput", "--plugin", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "ok"
    passes_ns: list[float] = result["throughput"]["warm_ns_per_op"]
    return statistics.median(passes_ns)


@pytest.mark.parametrize("name", NAMES)
def test_the_null_allocator_beside_phase3(
    name: str,
    benchmark: BenchmarkFixture,
    full: bool,
    say: Say,
    trace_of: MakeTrace,
    tmp_path: Path,
) -> None:
    trace = trace_of(name)
    pairs: list[tuple[float, float]] = []

    def measure() -> None:
        floor, phase3 = (_time_per_op_ns(each, trace, tmp_path) for each in ("null", "phase3"))
        pairs.append((floor, phase3))

    benchmark.pedantic(measure, rounds=7 if full else 1, iterations=1)
    floor_ns, phase3_ns = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(floor / phase3 for floor, phase3 in pairs)
    benchmark.extra_info.update(null_ns=floor_ns, phase3_ns=phase3_ns, median_ratio=ratio)
    say(f"{name}: null {floor_ns:.2f}, phase3 {phase3_ns:.2f} ns per op, paired ratio {ratio:.3f}")
    assert len(pairs) > 0
