"""The recorder's own C under the thread, address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from allocphase import resources
from allocphase.recorder.event_file import open_recording
from allocphase.recorder.events import RecordingCost
from allocphase.recorder.frames import FrameKind, frames, image_of
from allocphase.recorder.tree_files import RecordedImage, TreeFiles
from tests.support.plugins import ROOT
from tests.support.recordings import Recorder, require_sound
from tests.support.sharing import Shared

DRIVER = ROOT / "driver"
RECORDER = sorted((DRIVER / "recorder").glob("*.c"))
BOOTSTRAP = DRIVER / "preload" / "bootstrap.c"
FLAGS = [
    *("-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{DRIVER}"),
    *("-fno-sanitize-recover=all", "-fexceptions", "-fno-builtin-malloc", "-fno-builtin-calloc"),
]
THREADS, EVENTS = 8, 40000  # of lanes.c


@pytest.fixture
def record(tmp_path: Path, shared: Shared, needs: Callable[..., None]) -> Recorder:
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    return Recorder(tmp_path, shared("recorded"))


def build(target: Path, sanitizers: str, sources: Sequence[Path], *flags: str) -> Path:
    command = ["cc", *FLAGS, f"-fsanitize={sanitizers}", *flags, "-o", str(target)]
    subprocess.run([*command, *map(str, sources), "-pthread", "-ldl"], check=True)
    return target


@pytest.fixture
def drainer(tmp_path: Path, record: Recorder) -> Path:
    """With the address and undefined-behaviour sanitizers."""
    assert record.folder == tmp_path
    sources = sorted((DRIVER / "recorder" / "drainer").glob("*.c"))
    return build(tmp_path / "drainer", "address,undefined", sources)


def lanes(folder: Path, sanitizers: str) -> Path:
    """Threads that write as the recorder does; the functions of malloc are the sanitizer's."""
    of_malloc = ("calls.c", "operators.c", "threads.c")
    sources = [path for path in RECORDER if path.name not in of_malloc]
    program = ROOT / "tests" / "c" / "lanes.c"
    # -fPIC: else the program gets a copy of the linker's _r_debug from before it was ready.
    flags = ["-fPIC", *(["-DLANE_LAST_ROUND=1"] if sanitizers == "thread" else [])]
    return build(folder / "lanes", sanitizers, [program, *sources, BOOTSTRAP], *flags)


def drained(
    drainer: Path, folder: Path, command: Sequence[str | Path], preload: Path | None = None
) -> tuple[int, int, list[RecordedImage], str]:
    """A command's and the drainer's exit codes, what was recorded, what both said on stderr."""
    pipe = subprocess.PIPE
    with (
        subprocess.Popen([drainer], stdin=pipe, stdout=pipe, stderr=pipe) as process,
        ThreadPoolExecutor(1) as waiting,
    ):
        stream = frames(cast(BinaryIO, process.stdout))
        first = next(stream)
        assert first.kind == FrameKind.READY
        variables = {**os.environ, "ALLOCPHASE_RECORDER": os.fsdecode(first.payload)}
        variables |= {"LD_PRELOAD": str(preload)} if preload else {}
        program = waiting.submit(run_and_tell, command, variables, cast(BinaryIO, process.stdin))
        files = TreeFiles(folder / "s.events", max_bytes=None)
        for frame in stream:
            if frame.kind == FrameKind.CHUNK:
                files.add(frame.process, frame.chunk, frame.payload)
            elif frame.kind == FrameKind.IMAGE:
                facts, is_last = image_of(frame)
                files.tell(frame.process, facts, is_last=is_last)
        said = cast(BinaryIO, process.stderr).read()
        done = program.result()
    images = files.close("recorder", RecordingCost(wall_ns=1, peak_rss_bytes=1, cpu_ns=1))
    return (
        done.returncode,
        process.returncode,
        images,
        (done.stderr + said).decode("utf-8", "replace"),
    )


def run_and_tell(
    command: Sequence[str | Path], variables: Mapping[str, str], drainer: BinaryIO
) -> subprocess.CompletedProcess[bytes]:
    """Its end is the drainer's, which may have found its own."""
    done = subprocess.run(list(command), env=variables, stderr=subprocess.PIPE, timeout=300)
    with suppress(BrokenPipeError):
        drainer.write(b"e")
        drainer.flush()
    return done


@pytest.mark.parametrize("sanitizers", ["thread", "address,undefined"])
def test_threads_that_write_are_clean(
    record: Recorder, drainer: Path, sanitizers: str, tmp_path: Path
) -> None:
    """Eight of them, a timer's handlers in between, and a fork."""
    code, drained_code, images, said = drained(drainer, tmp_path, [lanes(tmp_path, sanitizers)])
    assert said == ""
    assert (code, drained_code) == (0, 0)
    parent, child = images
    assert parent.facts.counts["allocation"] >= THREADS * EVENTS
    assert parent.facts.counts["allocation"] == parent.facts.counts["free"]
    assert {name: count for name, count in child.facts.counts.items() if count} == {
        "allocation": 1,
        "free": 1,
        "failed": 1,
    }
    for image in images:
        assert image.path is not None
        assert record.folder in image.path.parents
        require_sound(open_recording(image.path))


@pytest.mark.parametrize(
    "words",
    [["all"], ["threads", "200"], ["late"], ["hand-over"], ["threaded-fork"], ["spawn"], ["exec"]],
    ids=" ".join,
)
def test_a_recorded_program_is_clean_on_both_sides(
    record: Recorder, drainer: Path, words: list[str], tmp_path: Path
) -> None:
    """The preload with the undefined-behaviour sanitizer; the address sanitizer's malloc would
    take its place.
    """
    flags = ["-fPIC", "-shared", "-static-libubsan", "-fvisibility=hidden", "-Wl,-z,now"]
    preload = build(tmp_path / "recorder.so", "undefined", [*RECORDER, BOOTSTRAP], *flags)
    command: list[str | Path] = [record.program("recorded"), *words]
    code, drained_code, images, said = drained(drainer, tmp_path, command, preload)
    assert said == ""
    assert (code, drained_code) == (0, 0)
    assert any(image.events for image in images)
    for image in images:
        if image.path is not None:
            require_sound(open_recording(image.path))


@pytest.mark.parametrize("seed", range(12))
def test_a_program_that_writes_over_the_recorder_s_memory_ends_the_recording_at_most(
    record: Recorder, drainer: Path, seed: int, tmp_path: Path
) -> None:
    """The drainer reads nothing that is not there; 14: it has found out."""
    command: list[str | Path] = [record.program("recorded"), "scribble", str(seed)]
    preload = resources.find("driver/liballocphase-recorder.so")
    _, drained_code, images, said = drained(drainer, tmp_path, command, preload)
    assert drained_code in (0, 14), said
    assert "Sanitizer" not in said
    for image in images:
        if image.path is not None:
            list(open_recording(image.path).batches())
