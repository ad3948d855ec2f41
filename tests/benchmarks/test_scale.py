"""Long traces: how fast is one made, does replaying it take memory, and is an op still an op?"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from allocphase import resources, trace
from allocphase.trace.records import OP
from tests.benchmarks.chunks import write_chunks
from tests.benchmarks.conftest import Say

MIB = 1 << 20
# The driver's own, whatever the length of the trace: its code, libc, logs and histograms.
LIMIT_MIB = 200
PROBES = ("throughput", "latency", "syscalls", "memory")
# Runs a command and prints its peak resident KiB. A process of its own, since a child's peak starts
# from that of its parent: some 10 MiB for this one, hundreds for pytest.
PEAK = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""

MAKE = """
import resource, sys
from pathlib import Path
from allocphase import scenario, trace
trace.write(scenario.generate(scenario.resolve(sys.argv[1])[0]), Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_long_trace_is_made_quickly(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    operations = 10_000_000 if full else 200_000
    path = tmp_path / "long.trace"
    command = [sys.executable, "-c", MAKE, f"random-churn?operations={operations}", str(path)]
    peaks_mib = []

    def make() -> None:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks_mib.append(int(done.stdout) // 1024)

    start = time.perf_counter()
    benchmark.pedantic(make, rounds=1, iterations=1)
    say(
        f"{operations:,} operations: generated and written in {time.perf_counter() - start:.2f} s "
        f"with a peak of {peaks_mib[0]} MiB, {path.stat().st_size // MIB} MiB on disk"
    )
    assert path.stat().st_size > operations * OP.itemsize


def test_a_long_trace_is_replayed_in_constant_memory_and_at_the_speed_of_a_short_one(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    """The long one is chunks like the short one; both are timed warm, in turn."""
    chunk_ops, chunks, rounds = (1_000_000, 100, 7) if full else (40_000, 4, 1)
    short, long = tmp_path / "short.trace", tmp_path / "long.trace"
    for path, count in ((short, 1), (long, chunks)):
        write_chunks(path, f"random-churn?operations={chunk_ops}", chunks=count)
    times_ns: dict[Path, list[float]] = {short: [], long: []}

    def measure() -> None:
        for turn in range(rounds):
            for path in (short, long) if turn % 2 else (long, short):
                times_ns[path].append(_time_per_op_ns(path, tmp_path / "replay"))

    benchmark.pedantic(measure, rounds=1, iterations=1)
    ratios = [b / a for a, b in zip(times_ns[short], times_ns[long], strict=True)]
    ops = {path: path.stat().st_size // OP.itemsize for path in times_ns}
    say(
        f"{statistics.median(times_ns[long]):.2f} ns per op of {ops[long]:,}, "
        f"{statistics.median(times_ns[short]):.2f} of {ops[short]:,}: paired ratio "
        f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    )
    own_mib = {probe: _own_mib(long, tmp_path / "replay", probe) for probe in PROBES}
    long.unlink()  # pytest keeps the folders of its last runs
    say("beyond the trace: " + ", ".join(f"{probe} {own_mib[probe]} MiB" for probe in PROBES))
    assert max(own_mib.values()) < LIMIT_MIB


def test_a_trace_of_chunks_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "chunks.trace"
    write_chunks(path, "random-churn?operations=20000", chunks=3)
    found = trace.read(path)
    assert len(found.ops) > 60_000
    assert found.slot_count == 1000


def _time_per_op_ns(path: Path, folder: Path) -> float:
    subprocess.run(_command(path, folder, "throughput"), check=True)
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return float(statistics.median(result["throughput"]["warm_ns_per_op"]))


def _own_mib(path: Path, folder: Path, probe: str) -> int:
    """Peak resident MiB beyond the mapped trace."""
    command = [sys.executable, "-I", "-S", "-c", PEAK, *_command(path, folder, probe)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(printed.split()[-1]) // 1024 - path.stat().st_size // MIB


def _command(path: Path, folder: Path, probe: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    driver = str(resources.find("driver/allocphase-driver"))
    return [driver, "--trace", str(path), "--out", str(folder), "--probe", probe, "--cpu", "0"]
