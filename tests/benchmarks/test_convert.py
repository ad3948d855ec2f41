"""Recordings to traces: how many events a second, and in how much memory?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase.recorder.event_file import write_recording
from allocphase.recorder.events import EVENT, NO_OBJECT, Batch, Entry, Kind, RecordedThread
from tests.benchmarks.conftest import Say
from tests.support.made_calls import facts

LIVE = 20_000
BATCH = 1 << 16
LIMIT_MIB = 1024
CONVERT = """
import re, sys, time
from pathlib import Path
from allocphase.recorder.convert import convert
from allocphase.recorder.event_file import open_recording
start = time.perf_counter()
convert(open_recording(Path(sys.argv[1])), Path(sys.argv[2]))
seconds = time.perf_counter() - start
# Not ru_maxrss, which has what the process was before it was this program.
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1], seconds)
"""


def churn(events: int, *, threads: int) -> list[Batch]:
    """Each thread keeps LIVE objects and replaces one at random: a free, an allocation."""
    rng, found = np.random.default_rng(1), list[Batch]()
    births = events // (2 * threads)
    for thread in range(threads):
        place = rng.integers(0, LIVE, births)
        order = np.argsort(place, kind="stable")
        again = place[order][1:] == place[order][:-1]
        before = np.full(births, NO_OBJECT, np.uint64)
        before[order[1:][again]] = order[:-1][again] + thread * births
        made = np.zeros(2 * births, EVENT)
        made["kind"][0::2], made["entry"][0::2] = Kind.FREE, Entry.FREE
        made["object"][0::2] = before
        made["kind"][1::2], made["entry"][1::2] = Kind.ALLOCATION, Entry.MALLOC
        made["object"][1::2] = np.arange(births) + thread * births
        made["size"][1::2] = rng.integers(1, 1000, births)
        made["time"] = np.cumsum(rng.integers(2, 20, 2 * births))
        found += [Batch(thread, made[at : at + BATCH]) for at in range(0, len(made), BATCH)]
    return sorted(found, key=lambda batch: int(batch.events["time"][0]))


def test_a_recording_becomes_a_trace_in_bounded_memory(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    count = 20_000_000 if full else 400_000
    for threads in (1, 4):
        said = facts(*[RecordedThread(birth=0)] * threads)
        write_recording(tmp_path / f"{threads}.events", said, churn(count, threads=threads))
    found: dict[int, tuple[int, float]] = {}

    def convert_both() -> None:
        for threads in (1, 4):
            files = [str(tmp_path / f"{threads}.events"), str(tmp_path / "x.trace")]
            command = [sys.executable, "-c", CONVERT, *files]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peak_kib, seconds = done.stdout.split()
            found[threads] = int(peak_kib) // 1024, float(seconds)

    benchmark.pedantic(convert_both, rounds=1, iterations=1)
    for threads, (peak_mib, seconds) in found.items():
        say(
            f"{count:,} events of {threads} threads: {count / seconds / 1e6:.1f} million a second, "
            f"with a peak of {peak_mib} MiB"
        )
        assert peak_mib < LIMIT_MIB
