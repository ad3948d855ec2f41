"""A recording of very many events: in how much memory does it become a trace, and does an operation
of a long trace take as long as one of a short trace?

Of a hundredth, a tenth and all of the events, and of windows at the beginning, in the middle and at
the end of the tenth. ALLOCPHASE_LONG_EVENTS says how many there are, 100 million without it. None
of the times is asserted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from allocphase import trace
from allocphase.allocator import resolve
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.recorder.event_file import open_recording
from allocphase.trace.window import window
from tests.benchmarks.conftest import Say
from tests.benchmarks.test_convert import CONVERT, LIMIT_MIB
from tests.support.driving import Driver

ALL = int(os.environ.get("ALLOCPHASE_LONG_EVENTS", "100_000_000"))
ALLOCPHASE = str(Path(sys.executable).with_name("allocphase"))
SOURCE = Path(__file__).with_name("c") / "churner.c"
TIMEOUT_S = 1800.0
WINDOWS = ((0.0, 0.1), (0.45, 0.55), (0.9, 1.0))


def recorded(folder: Path, count: int) -> Path:
    """The events of a run of the program."""
    program = folder / "churner"
    if not program.exists():
        subprocess.run(["cc", "-O2", "-fno-builtin", "-o", program, SOURCE], check=True)
    events = folder / f"{count}.events"
    command = [ALLOCPHASE, "record", "-o", str(events), "--", str(program), str(count)]
    subprocess.run(command, check=True, capture_output=True)
    return events


def converted(events: Path) -> tuple[Path, int, float]:
    """The trace, the peak of the process that made it in MiB, and its seconds."""
    path = events.with_suffix(".trace")
    command = [sys.executable, "-c", CONVERT, str(events), str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak_kib, seconds = done.stdout.split()
    return path, int(peak_kib) // 1024, float(seconds)


def ns_per_op(driver: Driver, path: Path, *, processes: int) -> float:
    """Of the first replay under libc, all of it, since a program, too, does it once; the least of
    some processes: what disturbs one makes it longer.
    """
    (libc,) = resolve("libc")
    found = []
    for _ in range(processes):
        done = driver.run(Probe.THROUGHPUT, path, libc, timeout_s=TIMEOUT_S, passes=1, replays=1)
        assert done.status == "ok", done.message
        cold_ns = done.result.part(Throughput).cold_ns_per_op
        assert cold_ns is not None
        found.append(cold_ns)
    return min(found)


def windows(path: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Some of a trace's operations, behind what lived when they began."""
    whole = trace.read(path)
    for begin, end in WINDOWS:
        part = folder / "window.trace"
        trace.write(window(whole, *(int(len(whole.ops) * share) for share in (begin, end))), part)
        yield f"{begin:.0%} to {end:.0%}", part


def test_a_long_recording_is_converted_in_bounded_memory_and_replayed(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path, driver: Driver
) -> None:
    most, processes = (ALL, 5) if full else (200_000, 1)
    peaks: dict[int, int] = {}

    def measure() -> None:
        for count in (most // 100, most // 10, most):
            events = recorded(tmp_path, count)
            had = open_recording(events).events
            path, peaks[had], seconds = converted(events)
            replay_ns = ns_per_op(driver, path, processes=processes)
            say(
                f"{had:,} events: {had / seconds / 1e6:.1f} million a second to a trace, with a "
                f"peak of {peaks[had]} MiB; {replay_ns:.1f} ns an operation replayed"
            )
            if count == most // 10:
                for name, part in windows(path, tmp_path):
                    replay_ns = ns_per_op(driver, part, processes=processes)
                    say(f"  from {name}: {replay_ns:.1f} ns an operation")
            path.unlink()
            events.unlink()

    benchmark.pedantic(measure, rounds=1, iterations=1)
    benchmark.extra_info["peaks_mib"] = peaks
    assert min(peaks) >= most // 100
    assert max(peaks) >= most
    assert max(peaks.values()) < LIMIT_MIB
