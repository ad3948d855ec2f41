"""What recording took, told in files that are whole already, and only where there is room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from allocphase.recorder.columns import Chunk, encode
from allocphase.recorder.event_file import open_recording
from allocphase.recorder.events import (
    EVENT,
    NO_OBJECT,
    Entry,
    Kind,
    RecordedThread,
    RecordingCost,
    RecordingFacts,
)
from allocphase.recorder.tree_files import TreeFiles
from tests.support.made_calls import facts

COST = RecordingCost(wall_ns=3, peak_rss_bytes=2, cpu_ns=1)
ALONE = RecordedThread(tid=1, birth=0)


def ended(path: Path, said: RecordingFacts) -> TreeFiles:
    """With one process, that freed NULL and has ended."""
    files = TreeFiles(path, max_bytes=1 << 20)
    files.tell(0, replace(said, threads=()), is_last=False)
    chunk = Chunk(thread=0, count=1, first_birth=0, births=0, base_time=0)
    event = np.array([(5, NO_OBJECT, 0, 0, Kind.FREE, Entry.FREE, 0)], dtype=EVENT)
    files.add(0, chunk, encode(event, chunk, np.zeros(2, "u8")))
    files.tell(0, said, is_last=True)
    return files


def test_it_stands_in_the_place_of_the_end_which_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "a.events"
    files = ended(path, facts(ALONE))
    without = open_recording(path)
    (image,) = files.close("recorder", COST)
    found = open_recording(path)
    assert found.complete
    assert found.facts == replace(without.facts, cost=COST)
    assert found.places == without.places
    assert found.file_bytes == path.stat().st_size == image.file_bytes


def test_a_file_without_room_for_it_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.events"
    numbers = np.random.default_rng(1).integers(1, 1 << 60, 60_000).tolist()
    said = facts(*(RecordedThread(tid=1, birth=number) for number in numbers))
    files = ended(path, said)
    before = path.read_bytes()
    assert 1 << 19 < len(before) < 1 << 20  # twice the facts are too much
    files.close("recorder", COST)
    assert path.read_bytes() == before
