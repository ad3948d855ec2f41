"""What driver/recorder writes and src/allocphase/recorder reads have one layout."""

from __future__ import annotations

import re

import pytest

from allocphase.recorder import columns, frames
from allocphase.recorder.events import MAX_THREADS, Entry, Kind
from tests.support.plugins import ROOT

RECORDER = ROOT / "driver" / "recorder"
EVENT_H = (RECORDER / "event.h").read_text()
OUTPUT_H = (RECORDER / "drainer" / "output.h").read_text()
COLUMNS_H = (RECORDER / "drainer" / "columns.h").read_text()
SIZES = {"uint64_t": 8, "double": 8, "uint32_t": 4, "int32_t": 4}


def enumerated(text: str, prefix: str) -> dict[str, int]:
    """Names of an enum without their prefix, and their numbers."""
    found = re.findall(rf"\b{prefix}_(\w+) = (\d+)\b", text)
    return {name: int(number) for name, number in found}


def test_entries_have_the_same_numbers() -> None:
    assert enumerated(EVENT_H, "ENTRY") == {entry.name: entry.value for entry in Entry}
    assert f"#define EVENT_ENTRIES {len(Entry)}\n" in EVENT_H


def test_kinds_have_the_same_numbers_and_those_of_rings_come_behind() -> None:
    kinds = enumerated(EVENT_H, "KIND")
    ours = {kind.name: kind.value for kind in Kind}
    assert {name: kinds[name] for name in ours} == ours
    assert min(kinds[name] for name in kinds.keys() - ours) == len(Kind)
    assert f"#define COUNTED_KINDS {len(Kind)} " in OUTPUT_H


def test_frames_have_the_same_numbers() -> None:
    assert enumerated(OUTPUT_H, "FRAME") == {kind.name: kind.value for kind in frames.FrameKind}
    names = ("EXIT", "EXEC", "RUNNING", "LIMIT")
    assert enumerated(OUTPUT_H, "ENDED") == dict(zip(names, range(len(frames.ENDED)), strict=True))


@pytest.mark.parametrize(
    ("struct", "dtype"),
    [
        ("frame", frames.FRAME),
        ("image_frame", frames.IMAGE),
        ("thread_frame", frames.THREAD),
        ("end_frame", frames.END),
    ],
)
def test_a_frame_has_the_same_fields_in_the_same_places(struct: str, dtype: object) -> None:
    found = re.search(rf"struct {struct} {{\n(.*?)\n}};", OUTPUT_H, re.DOTALL)
    assert found is not None
    body = re.sub(r"/\*.*?\*/", "", found[1])
    offset, expected = 0, {}
    for kind, names in re.findall(r"(\w+) ([^;]+);", body):
        for name in re.split(r",\s*", names):
            bare, _, count = name.partition("[")
            expected[bare.replace("padding", "_padding")] = offset
            offset += SIZES[kind] * (len(Kind) if count else 1)
    fields = getattr(dtype, "fields", {})
    assert {name: place for name, (_, place, *_) in fields.items()} == expected
    assert getattr(dtype, "itemsize", 0) == offset


def test_streams_are_the_same() -> None:
    told = enumerated(COLUMNS_H, "TOLD")
    assert told == {name: getattr(columns, name) for name in told}
    numbers = re.findall(r"^  NUMBER_(\w+)", COLUMNS_H, re.MULTILINE)
    assert tuple(name.lower() for name in numbers) == columns.NUMBERS
    assert f"#define NUMBERS {len(columns.NUMBERS)}\n" in COLUMNS_H
    assert f"#define CHUNK_EVENTS {columns.MAX_EVENTS}u\n" in COLUMNS_H
    shift = MAX_THREADS.bit_length() - 1
    assert 1 << shift == MAX_THREADS
    assert f"#define MOST_THREADS (1u << {shift}) " in (RECORDER / "arena.h").read_text()
    assert f"thread : {max(20, shift)};" in (RECORDER / "drainer" / "objects.h").read_text()
