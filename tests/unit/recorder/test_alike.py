"""A trace stands for the calls that its program makes, and has as much live after each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import pytest

from allocphase import trace
from allocphase.recorder.alike import calls_by_kind, live_bytes, replayed_calls
from allocphase.recorder.convert import convert
from allocphase.recorder.events import RecordedThread
from allocphase.trace.facts import program_live_bytes
from tests.support.made_calls import Call, facts, recording_of

TWO_THREADS = (RecordedThread(tid=1, birth=0), RecordedThread(tid=2, birth=0))


def program(seed: int) -> list[Call]:
    """Calls of two threads: NULL is freed and resized, aligned blocks are resized."""
    draw, live, calls = random.Random(seed), list[int](), list[Call]()
    for block in range(400):
        thread = draw.randrange(2)
        name = draw.choice(["malloc", "calloc", "memalign", "realloc", "realloc", "free", "free"])
        used = draw.choice(live) if live and draw.random() < 0.9 else block
        if name in ("malloc", "calloc", "memalign") or (name == "realloc" and used == block):
            used = block
            live.append(block)
        elif name == "free" and used != block:
            live.remove(used)
        calls.append(Call(thread, name, used, 0 if name == "free" else draw.randrange(1, 9000)))
    return calls


def counted(calls: Sequence[Call]) -> dict[str, int]:
    """By function, as a counter beside the program would have it."""
    live, counts = set[int](), {"malloc": 0, "calloc": 0, "memalign": 0, "realloc": 0, "free": 0}
    for call in calls:
        counts[call.name] += call.name != "free" or call.block in live
        live.discard(call.block) if call.name == "free" else live.add(call.block)
    return counts


def lived(calls: Sequence[Call]) -> list[list[int]]:
    """What each thread's operations leave live; a realloc of an aligned block is two of them, and
    free(NULL) none.
    """
    held, aligned, changes = dict[int, int](), set[int](), ([0], [0])
    for call in calls:
        mine, had = changes[call.thread], held.pop(call.block, 0)
        if call.name == "free" and not had:
            continue
        if call.block in aligned:
            mine.append(-had)
            had = 0
        aligned.discard(call.block)
        if call.name == "memalign":
            aligned.add(call.block)
        if call.name != "free":
            held[call.block] = call.size
        if call.name != "free" or had:
            mine.append(call.size - had)
    return [list(accumulate(mine))[1:] for mine in changes]


@pytest.mark.parametrize("seed", range(5))
def test_calls_and_what_lives_are_the_program_s(tmp_path: Path, seed: int) -> None:
    calls = program(seed)
    recording = recording_of(tmp_path / "x.events", calls, facts(*TWO_THREADS))
    said = convert(recording, tmp_path / "x.trace")
    made = trace.read(tmp_path / "x.trace")
    assert replayed_calls(made, said.notes) == calls_by_kind(counted(calls))
    assert [curve.tolist() for curve in live_bytes(recording)] == lived(calls)
    assert [curve.tolist() for curve in program_live_bytes(made)] == lived(calls)


def test_a_trace_of_other_calls_is_not_alike(tmp_path: Path) -> None:
    calls = program(1)
    recording = recording_of(tmp_path / "x.events", calls[:-1], facts(*TWO_THREADS))
    said = convert(recording, tmp_path / "x.trace")
    made = trace.read(tmp_path / "x.trace")
    assert replayed_calls(made, said.notes) != calls_by_kind(counted(calls))
