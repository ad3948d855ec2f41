"""Programs of tests/c under `allocphase record`, and what an independent counter saw of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.recorder.event_file import Recording, open_recording
from allocphase.recorder.events import BIRTHS, DEATHS, EVENT, NO_OBJECT, Entry, Kind
from tests.support.plugins import ROOT
from tests.support.sharing import made_once

__all__ = ["PROGRAM", "Recorded", "Recorder", "events_of", "require_sound"]

PROGRAM = Path(sys.executable).with_name("allocphase")
TIMEOUT_S = 120
COUNTED = ("malloc", "calloc", "realloc", "aligned", "free", "free_null", "failed")
C_FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fno-builtin"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of one command. counts: what came through behind the recorder, in all processes."""

    done: subprocess.CompletedProcess[bytes]
    recordings: list[Recording]
    counts: Counter[str]

    @property
    def first(self) -> Recording:
        return self.recordings[0]

    @property
    def told(self) -> Counter[str]:
        """As `counts`, by the recordings. A realloc that failed before it got to the allocator, as
        reallocarray's product of too much, is not among them.
        """
        found: Counter[str] = Counter()
        for recording in self.recordings:
            for batch in recording.batches():
                found.update(_counted(batch.events))
        return found


def _counted(events: npt.NDArray[Any]) -> dict[str, int]:
    overflown = (events["entry"] == Entry.REALLOCARRAY) & (events["size"] == (1 << 64) - 1)
    events = events[~overflown]
    kind, entry = events["kind"], events["entry"]
    asked = np.isin(kind, (Kind.ALLOCATION, Kind.FAILED))
    freed, none = kind == Kind.FREE, events["object"] == NO_OBJECT
    of_malloc = (Entry.MALLOC, Entry.NEW, Entry.NEW_ARRAY)  # as libstdc++'s new does
    named = {"malloc": of_malloc, "calloc": (Entry.CALLOC,)}
    found = {name: np.count_nonzero(asked & np.isin(entry, which)) for name, which in named.items()}
    found |= {
        "realloc": np.count_nonzero(kind == Kind.REALLOC_BEGIN),
        "aligned": np.count_nonzero(
            asked & np.isin(entry, (Entry.POSIX_MEMALIGN, Entry.MEMALIGN, Entry.ALIGNED_ALLOC))
        ),
        "free": np.count_nonzero(freed & ~none),
        "free_null": np.count_nonzero(freed & none),
        "failed": np.count_nonzero(
            np.isin(kind, (Kind.FAILED, Kind.REALLOC_FAILED, Kind.REALLOC_FREED))
        ),
    }
    return {name: int(count) for name, count in found.items()}


@dataclass(frozen=True, slots=True)
class Recorder:
    """Records in a folder of the test's; `shared` has the programs."""

    folder: Path
    shared: Path

    def program(self, name: str, *flags: str) -> Path:
        """tests/c/<name>.c or .cpp as a program."""
        source = next((ROOT / "tests" / "c").glob(f"{name}.c*"))
        cpp_flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-O0"]  # no new is left out
        compiler = ["c++", *cpp_flags] if source.suffix == ".cpp" else ["cc", *C_FLAGS]

        def build(target: Path) -> None:
            command = [*compiler, *flags, "-o", str(target), str(source), "-pthread", "-ldl"]
            subprocess.run(command, check=True)

        return made_once(self.shared / "-".join([name, *flags]).replace("/", "_"), build)

    def counter(self, *flags: str) -> Path:
        """The counting preload."""

        def build(target: Path) -> None:
            source = str(ROOT / "tests" / "c" / "counter.c")
            command = ["cc", *C_FLAGS, "-fPIC", "-shared", *flags, "-o", str(target), source]
            subprocess.run(command, check=True)

        return made_once(self.shared / "-".join(["counter", *flags, ".so"]), build)

    def __call__(
        self,
        *command: str | Path,
        options: tuple[str, ...] = (),
        counted: bool | Path = True,
        name: str = "r.events",
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Recorded:
        """`allocphase record -o NAME COMMAND`. counted: with the counter behind it, or which."""
        variables = {**os.environ, **(environ or {})}
        counts = self.folder / f"{name}.counts"
        if counted:
            counts.write_bytes(bytes(4096))
            library = self.counter() if counted is True else counted
            variables |= {"COUNTS": str(counts), "LD_PRELOAD": str(library)}
        output = self.folder / name
        done = subprocess.run(
            [PROGRAM, "record", "-o", output, *options, "--", *command],
            capture_output=True,
            timeout=TIMEOUT_S,
            env=variables,
            cwd=cwd,
        )
        stem, suffix = output.stem, output.suffix
        others = sorted(
            output.parent.glob(f"{stem}.[0-9]*{suffix}"),
            key=lambda path: int(path.name.removeprefix(f"{stem}.").removesuffix(suffix)),
        )
        paths = [path for path in (output, *others) if path.exists()]
        seen = np.frombuffer(counts.read_bytes(), "i8", len(COUNTED)).tolist() if counted else []
        return Recorded(
            done,
            [open_recording(path) for path in paths],
            Counter(dict(zip(COUNTED, seen, strict=False))),
        )


def events_of(recording: Recording, thread: int | None = None) -> npt.NDArray[Any]:
    """All of them, or those of one thread."""
    found = [batch.events for batch in recording.batches(thread)]
    return np.concatenate([np.zeros(0, EVENT), *found])


def require_sound(recording: Recording) -> None:
    """What events.py promises: whole, one birth and at most one death of each object, in order."""
    assert recording.complete
    assert recording.facts.ambiguous == 0
    events = events_of(recording)
    births, deaths = np.isin(events["kind"], BIRTHS), np.isin(events["kind"], DEATHS)
    assert np.array_equal(np.sort(events["object"][births]), np.arange(recording.objects))
    known = events["object"] < recording.objects
    died, revived = (
        np.bincount(events["object"][which & known].astype("i8"), minlength=recording.objects)
        for which in (deaths, events["kind"] == Kind.REALLOC_FAILED)
    )
    assert set(np.unique(died - revived).tolist()) <= {0, 1}
    born = np.zeros(recording.objects, "u8")
    born[events["object"][births]] = events["time"][births]
    used = events[known & ~births]
    assert np.all(used["time"] + 1 >= born[used["object"]])
    for thread in range(len(recording.threads)):
        assert np.all(np.diff(events_of(recording, thread)["time"].astype("i8")) >= 0)
    for kind, count in recording.facts.counts.items():
        assert np.count_nonzero(events["kind"] == Kind[kind.upper()]) == count
