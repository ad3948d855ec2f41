"""`allocphase record --touched`: which bytes of its blocks a program touches."""

from __future__ import annotations

import mmap
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase import trace
from allocphase.allocator import resolve
from allocphase.probe.probe import Probe
from allocphase.recorder.convert import convert
from allocphase.recorder.event_file import open_recording
from allocphase.resources import find
from allocphase.scenario import generate
from tests.support.driving import Driver
from tests.support.recordings import PROGRAM, Recorder, require_sound
from tests.support.scenarios import resolve_traced
from tests.support.sharing import Shared

PAGE = 4096
# (size, touched) of each new or resized block of tests/c/touches.c, in order.
BLOCKS = [
    (100, 100),
    (10 * PAGE, PAGE),
    (10 * PAGE, 0),
    (64 * PAGE, 2 * PAGE),
    (1000 * PAGE, 2 * PAGE),
    (PAGE + 10, PAGE + 10),
    (3 * PAGE, 3 * PAGE),
    (100 * PAGE, 4 * PAGE),
    (200, 200),
    (8 * PAGE, PAGE),
    (2 * PAGE, PAGE),
    (50, 50),
    (4 * PAGE, 4 * PAGE),
    (7 * PAGE, PAGE),
]


@pytest.fixture
def record(tmp_path: Path, shared: Shared, needs: Callable[..., None]) -> Recorder:
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    needs(mmap.PAGESIZE == PAGE, "pages of 4 KiB", install="a kernel with such pages")
    return Recorder(tmp_path, shared("recorded"))


def blocks_of(path: Path) -> list[tuple[int, int]]:
    found = trace.read(path)
    assert found.touched is not None
    rows = zip(found.ops["size"].tolist(), found.touched.tolist(), strict=True)
    return [(size, touched) for size, touched in rows if size]


def imported(folder: Path) -> subprocess.CompletedProcess[str]:
    words = ["import", "r.events", "--touched", "r.touched.events", "-o", "r.trace"]
    return subprocess.run([PROGRAM, "trace", *words], cwd=folder, capture_output=True, text=True)


def test_a_trace_has_the_bytes_that_the_program_touches(record: Recorder) -> None:
    found = record(record.program("touches"), options=("--touched",), counted=False)
    assert found.done.returncode == 0
    assert b"r.touched.events, 11 blocks of a page or more" in found.done.stderr
    done = imported(record.folder)
    assert done.returncode == 0, done.stderr
    assert blocks_of(record.folder / "r.trace") == BLOCKS
    assert "unknown" not in done.stdout
    require_sound(open_recording(record.folder / "r.touched.events"))


def test_what_a_killed_program_had_left_is_unknown_and_touched_whole(record: Recorder) -> None:
    record(record.program("touches"), "killed", options=("--touched",), counted=False)
    done = imported(record.folder)
    assert blocks_of(record.folder / "r.trace") == [*BLOCKS[:-1], (7 * PAGE, 7 * PAGE)]
    assert "touched bytes are unknown, touched whole: 1" in done.stdout


def test_the_program_s_output_is_seen_once_and_its_input_read_twice(tmp_path: Path) -> None:
    words = [str(PROGRAM), "record", "--touched", "-o", "c.events", "--", "cat"]
    (tmp_path / "text").write_text("once\n")
    with (tmp_path / "text").open("rb") as text:
        done = subprocess.run(words, stdin=text, capture_output=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"once\n")
    main, learnt = (open_recording(tmp_path / n) for n in ("c.events", "c.touched.events"))
    assert main.objects == learnt.objects
    assert convert(main, tmp_path / "c.trace", learnt=learnt).notes.keys() <= {"frees of NULL"}


def test_a_file_that_is_there_is_found_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "c.touched.events").touch()
    words = [str(PROGRAM), "record", "--touched", "-o", "c.events", "--", "echo", "ran"]
    done = subprocess.run(words, capture_output=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"c.touched.events: is there already" in done.stderr


def test_only_an_event_file_can_be_joined_with_what_was_learnt(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("allocphase-trace 1\nbuild\n")
    words = [str(PROGRAM), "trace", "import", "x.txt", "--touched", "x.events", "-o", "x.trace"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "x.txt: is no event file: --touched says nothing of it" in done.stderr


@pytest.mark.parametrize("name", ["random-churn", "realloc-growth"])
def test_what_serves_the_blocks_is_a_correct_malloc(
    driver: Driver, tmp_path: Path, name: str
) -> None:
    (scenario,) = resolve_traced(name)
    path = tmp_path / "t.trace"
    trace.write(generate(scenario), path)
    library = find("driver/liballocphase-touched.so")
    driver.measure(Probe.VERIFY, path, resolve(f"touched={library}")[0])
