"""Long traces: how fast are they made, and does replaying one take memory of its own?"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from allocphase import data, scenario, trace
from tests.benchmarks.conftest import Say

# Enough to hold the driver, libc and the tables of histograms, whatever the trace.
FIXED_MIB = 64


def _replay_kib(path: Path, folder: Path) -> int:
    """Peak resident KiB of a latency probe, beyond the mapped trace."""
    folder.mkdir()
    driver = str(data.find("driver/allocphase-driver"))
    command = [driver, "--trace", str(path), "--out", str(folder), "--probe", "latency"]
    command += ["--raw-ops", "1000"]
    timed = ["/usr/bin/time", "-f", "%M", *command]
    words = subprocess.run(timed, check=True, capture_output=True, text=True).stderr
    return int(words.split()[-1]) - path.stat().st_size // 1024


def test_a_long_trace_is_made_quickly_and_replayed_in_constant_memory(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    operations = 10_000_000 if full else 200_000
    chosen = scenario.resolve(f"random-churn?operations={operations}")[0]
    path = tmp_path / "long.trace"

    def make() -> None:
        trace.write(scenario.generate(chosen), path)

    start = time.perf_counter()
    benchmark.pedantic(make, rounds=1, iterations=1)
    elapsed_s = time.perf_counter() - start
    kib = _replay_kib(path, tmp_path / "replay")
    say(
        f"{operations:,} operations: generated and written in {elapsed_s:.2f} s, replayed in "
        f"{kib / 1024:.0f} MiB beyond the trace"
    )
    assert kib < FIXED_MIB * 1024
