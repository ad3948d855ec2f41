"""What does recording a program cost, and how many bytes does an event take?

Alternating runs: without, under `allocphase record`, and under heaptrack where that is installed.
Wall time of the command alone: what the tools need to begin and to report is not in it. These have
one thread, and so one event in four has its own time: what reading the clock so often takes is the
least that the recorder could cost here.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase.recorder.event_file import open_recording
from allocphase.recorder.start import record
from tests.benchmarks.conftest import Say
from tests.support.plugins import ROOT

EVENTS_A_READING = 4
TICKS = Path(__file__).parent / "c" / "ticks.c"
SQL = (
    "create table t(id integer primary key, a text, b real);"
    "with recursive n(i) as (select 1 union all select i+1 from n where i < {n})"
    " insert into t select i, 'row ' || i, i * 1.5 from n;"
    "select count(*), sum(length(json_object('id', id, 'a', a))) from t;"
)
JSON_PY = (
    "import json; d = [{{'i': i, 's': str(i)}} for i in range({n})]; json.loads(json.dumps(d))"
)
PROGRAMS: dict[str, tuple[list[str], int]] = {
    "jq": (["jq", "-n", "[range({n}) | tostring | tonumber] | add"], 600_000),
    "sqlite3": (["sqlite3", ":memory:", SQL], 400_000),
    # Not by its name: that may be a shell script, which starts dozens of processes.
    "python3": ([sys.executable, "-c", JSON_PY], 300_000),
    "bash": (["bash", "-c", "for ((i = 0; i < {n}; i++)); do a[i]=$i; done"], 200_000),
}
ENVIRON = {**os.environ, "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}


def _seconds(command: list[str], environ: Mapping[str, str] = ENVIRON) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environ)
    return time.monotonic() - start


def _heaptrack(command: list[str], folder: Path) -> float | None:
    """None where it is not installed. Newer ones open a window after it if they may."""
    tool = shutil.which("heaptrack")
    if tool is None:
        return None
    known = subprocess.run([tool, "--help"], capture_output=True, text=True).stdout
    alone = ["--record-only"] if "--record-only" in known else []
    words = [tool, *alone, "-o", str(folder / "heaptrack"), *command]
    start = time.monotonic()
    subprocess.run(words, check=True, capture_output=True, env=ENVIRON)
    return time.monotonic() - start


def _recorded(command: list[str], path: Path) -> float:
    program = Path(shutil.which(command[0]) or command[0])
    # What the command prints is not for this terminal.
    script = 'out=$1; shift; exec "$@" > "$out"'
    shell = ["sh", "-c", script, "sh", os.devnull, str(program), *command[1:]]
    path.unlink(missing_ok=True)
    for other in path.parent.glob(f"{path.stem}.*{path.suffix}"):
        other.unlink()
    tree = record(Path("/bin/sh"), shell, ENVIRON, path=path, max_bytes=None)
    assert tree.exit_status == 0
    return tree.cost.wall_ns / 1e9


@pytest.fixture(scope="module")
def clock_ns(tmp_path_factory: pytest.TempPathFactory) -> float:
    """What the recorder's clock costs, of readings one after the other."""
    program = tmp_path_factory.mktemp("ticks") / "ticks"
    compiler = os.environ.get("CC", "cc")
    command = [
        compiler,
        "-std=gnu11",
        "-O2",
        f"-I{ROOT / 'driver'}",
        "-o",
        str(program),
        str(TICKS),
    ]
    subprocess.run(command, check=True)
    return float(subprocess.run([program], check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("name", PROGRAMS)
def test_recording_costs(
    name: str,
    benchmark: BenchmarkFixture,
    full: bool,
    say: Say,
    tmp_path: Path,
    needs: Callable[..., None],
    clock_ns: float,
) -> None:
    needs(shutil.which(name), name, install=f"apt-get install {name}")
    words, count = PROGRAMS[name]
    command = [re.sub(r"\{n\}", str(count if full else 2000), word) for word in words]
    command = [word.replace("{{", "{").replace("}}", "}") for word in command]
    path = tmp_path / "r.events"
    alone: list[float] = []
    factors: list[float] = []
    theirs: list[float] = []

    def measure() -> None:
        alone.append(_seconds(command))
        factors.append(_recorded(command, path) / alone[-1])
        if (seconds := _heaptrack(command, tmp_path)) is not None:
            theirs.append(seconds / alone[-1])

    benchmark.pedantic(measure, rounds=7 if full else 1, iterations=1)
    paths = [path, *path.parent.glob(f"{path.stem}.*{path.suffix}")]
    recordings = [open_recording(found) for found in paths]
    events = sum(recording.events for recording in recordings)
    raw = sum(recording.raw_bytes for recording in recordings) / events
    packed = sum(recording.file_bytes for recording in recordings) / events
    spent_ns = statistics.median(alone) * 1e9 / events
    least = 1 + clock_ns / EVENTS_A_READING / spent_ns
    waited_s = sum(recording.facts.stalled_ns for recording in recordings) / 1e9
    beside = f", heaptrack {statistics.median(theirs):.2f}" if theirs else ""
    say(
        f"{name}: {events:,} events, {1e3 / spent_ns:.0f} million a second; "
        f"{statistics.median(factors):.2f} times as long{beside}, {waited_s:.2f} s of it spent "
        f"waiting for the recorder; with a clock of {clock_ns:.1f} ns at least {least:.2f}; "
        f"{raw:.2f} bytes an event, {packed:.2f} compressed"
    )
    benchmark.extra_info |= {"factor": statistics.median(factors), "bytes": packed, "raw": raw}
    assert events > 0
    assert raw > packed > 0


def test_reading_a_recording(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    script = f"for i in range({300_000 if full else 3000}): x = [str(i)]"
    path = tmp_path / "r.events"
    command = [sys.executable, "-c", script]
    record(Path(sys.executable), command, ENVIRON, path=path, max_bytes=None)
    recording = open_recording(path)

    def read() -> int:
        return sum(len(batch.events) for batch in recording.batches())

    assert benchmark.pedantic(read, rounds=5 if full else 1, iterations=1) == recording.events
    if benchmark.stats is not None:
        rate = recording.events / benchmark.stats.stats.median
        say(f"{rate / 1e6:.1f} million events a second are read")
