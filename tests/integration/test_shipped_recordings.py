"""The collection's recordings: whole, small, of no machine, replayable, and to be made again."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from allocphase import trace
from allocphase.allocator import resolve
from allocphase.probe.probe import Probe
from allocphase.scenario import Recorded, load
from allocphase.trace.validated import SUFFIX
from tests.record_scenarios import SCENARIOS, program_of, record
from tests.support.driving import Driver

FILES = sorted(SCENARIOS.glob("recorded-*.toml"))
NAMES = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
MAX_BYTES = 5 << 20
# An absolute path, or one of a home.
PLACE = re.compile(r"(?<![\w}.])[/~]\w|\w+@\w+")


def shipped(path: Path) -> Recorded:
    found = load(path)
    assert isinstance(found, Recorded)
    return found


def test_in_all_they_are_small() -> None:
    assert 4 <= len(FILES) <= 6
    assert sum(Path(shipped(path).path).stat().st_size for path in FILES) <= MAX_BYTES
    files = {path.name for path in SCENARIOS.glob("*.trace*") if not path.name.endswith(SUFFIX)}
    assert files == {Path(shipped(path).path).name for path in FILES}


@NAMES
def test_a_recording_is_whole_and_says_what_it_is_of(path: Path) -> None:
    found = shipped(path)
    whole = trace.read(Path(found.path))
    assert whole.gaps is not None, "it can be paced"
    assert found.provenance is not None
    assert found.program is not None
    kept, ran = found.provenance.command, found.program.program.command
    assert [part.rpartition("/")[2] for part in kept[1:]] == [x.rpartition("/")[2] for x in ran[1:]]


@NAMES
def test_its_labels_lie_beside_it_and_are_of_this_very_trace(path: Path) -> None:
    found = shipped(path)
    assert found.validation is not None
    assert len(found.validation.allocators) >= 4
    assert found.labels
    assert found.with_parameters({"mode": "paced"}).labels


@NAMES
def test_nothing_of_the_machine_that_recorded_it_is_told(path: Path) -> None:
    found = shipped(path)
    file = Path(found.path)
    beside = file.with_name(file.name + SUFFIX).read_text("utf-8")
    for text in (trace.read(file).meta.decode(), beside, path.read_text("utf-8")):
        assert PLACE.search(text) is None, PLACE.search(text)


@NAMES
@pytest.mark.parametrize("name", ["libc", "phase3"])
def test_a_replay_is_correct(driver: Driver, tmp_path: Path, path: Path, name: str) -> None:
    found = shipped(path)
    copy = tmp_path / "copy.trace"
    found.write(copy)
    (subject,) = resolve(name)
    cpus = sorted(os.sched_getaffinity(0))
    outcome = driver.run(Probe.VERIFY, copy, subject, cpus=cpus, timeout_s=60)
    assert outcome.status == "ok", outcome.message
    assert outcome.result.operations == len(trace.read(copy).ops)


def test_it_is_recorded_again_to_the_same_calls(tmp_path: Path) -> None:
    """The server is our own program: what it asks for depends on nothing that is installed."""
    path = SCENARIOS / "recorded-server.toml"
    again = tmp_path / "again.trace.zst"
    record(program_of(path.stem, tomllib.loads(path.read_text("utf-8"))), again)
    old, new = trace.read(Path(shipped(path).path)), trace.read(again)
    for kind in ("malloc", "realloc"):
        assert new.op_counts[kind] == old.op_counts[kind]
    assert PLACE.search(new.meta.decode()) is None
