"""Perfetto's trace, read by the project's own classes of Protocol Buffers."""

from __future__ import annotations

from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allocphase.analysis.frames import Run, load
from allocphase.errors import NothingMeasuredError
from allocphase.export import perfetto
from allocphase.export.exported import Choice
from allocphase.export.timeline import timeline
from allocphase.probe.probe import Probe
from tests.conftest import Needs
from tests.golden import synthetic
from tests.support.exports import NOTHING, SCENARIOS, SPACED

BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4


class Opened:
    """A trace as a reader sees it: names resolved, events by the name of their track."""

    def __init__(self, content: bytes, module: Any) -> None:
        self.trace = module.Trace()
        self.trace.ParseFromString(content)
        self.tracks: dict[int, Any] = {}
        self.events: dict[int, list[tuple[int, Any]]] = defaultdict(list)
        self.names: dict[int, str] = {}
        self.categories: dict[int, str] = {}
        for packet in self.trace.packet:
            assert packet.trusted_packet_sequence_id == 1
            if packet.HasField("track_descriptor"):
                self.tracks[packet.track_descriptor.uuid] = packet.track_descriptor
            if packet.HasField("interned_data"):
                self.names = {one.iid: one.name for one in packet.interned_data.event_names}
                found = packet.interned_data.event_categories
                self.categories = {one.iid: one.name for one in found}
            if packet.HasField("track_event"):
                assert packet.track_event.track_uuid in self.tracks
                self.events[packet.track_event.track_uuid].append(
                    (packet.timestamp, packet.track_event)
                )

    def named(self, name: str) -> list[list[tuple[int, Any]]]:
        """The events of each track of that name; a thread's is its thread's."""
        return [
            self.events[uuid]
            for uuid, track in self.tracks.items()
            if name in (track.name, track.thread.thread_name)
        ]


@pytest.fixture(scope="module")
def module(needs: Needs) -> Any:
    needs(find_spec("perfetto"), "perfetto", install="pip install -e '.[test]'")
    from perfetto.protos.perfetto.trace import perfetto_trace_pb2

    return perfetto_trace_pb2


@pytest.fixture(scope="module")
def opened(awkward: Run, module: Any) -> Opened:
    return Opened(write(awkward, "phase2", "keep"), module)


def write(run: Run, allocator: str, scenario: str) -> bytes:
    return perfetto.write([run], Choice(allocator=allocator, scenario=scenario)).content


def test_each_call_is_a_slice_as_long_as_it_took_with_kind_size_and_cause(
    awkward: Run, opened: Opened
) -> None:
    (events,) = opened.named("thread 0")
    frame = awkward.operations_of("phase2", "keep")
    begins, ends = events[::2], events[1::2]
    assert {event.type for _, event in begins} == {BEGIN}
    assert {event.type for _, event in ends} == {END}
    assert [opened.names[event.name_iid] for _, event in begins] == list(frame["kind"])
    causes = [opened.categories[event.category_iids[0]] for _, event in begins]
    assert causes == list(frame["cause"])
    assert [event.debug_annotations[0].uint_value for _, event in begins] == list(frame["size"])
    took = np.array([stop - start for (start, _), (stop, _) in zip(begins, ends, strict=True)])
    assert took == pytest.approx(frame["latency_ns"].to_numpy(), abs=1.0)


def test_slices_of_a_thread_follow_each_other_and_never_overlap(opened: Opened) -> None:
    (events,) = opened.named("thread 0")
    times = [time for time, _ in events]
    assert times == sorted(times)
    assert times[0] == 0


def test_system_calls_and_causes_stand_on_tracks_of_their_own_at_their_calls(
    awkward: Run, opened: Opened
) -> None:
    (calls,) = opened.named("system calls")
    frame = awkward.operations_of("phase2", "keep")
    (slices,) = opened.named("thread 0")
    begin_of = [time for time, _ in slices[::2]]
    assert [opened.names[event.name_iid] for _, event in calls] == list(frame["syscall_names"])
    assert [time for time, _ in calls] == begin_of
    (causes,) = opened.named("causes")
    assert {opened.names[event.name_iid] for _, event in causes} == {"system call"}
    assert {event.type for _, event in (*calls, *causes)} == {INSTANT}


def test_memory_is_three_counters_in_bytes_on_the_same_clock(awkward: Run, opened: Opened) -> None:
    found = awkward.first("phase2", "keep", Probe.FOOTPRINT)
    assert found is not None
    points = found[1]["checkpoints"]
    (slices,) = opened.named("thread 0")
    for name, column in (("live", "live_bytes"), ("mapped", "mapped_bytes"), ("RSS", "rss_bytes")):
        ((*events,),) = opened.named(name)
        assert {event.type for _, event in events} == {COUNTER}
        assert [event.counter_value for _, event in events] == points[column].tolist()
        times = [time for time, _ in events]
        assert times == sorted(times)
        assert (times[0], times[-1]) == (0, slices[-1][0])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_names_with_blanks_markup_and_letters_come_back_whole(
    awkward: Run, module: Any, scenario: str
) -> None:
    found = Opened(write(awkward, SPACED, scenario), module)
    assert found.tracks[1].process.process_name == f"{scenario} under {SPACED}"


def test_of_a_long_trace_the_slowest_calls_stand_at_their_places(awkward: Run, module: Any) -> None:
    content = perfetto.write([awkward], Choice(allocator="fast", scenario="keep"))
    (note,) = content.notes
    assert note.startswith("of 400 calls all but the ")
    (events,) = Opened(content.content, module).named("thread 0")
    ops = [event.debug_annotations[1].uint_value for _, event in events[::2]]
    frame = awkward.operations_of("fast", "keep")
    assert ops == list(frame["op"][frame["latency_ns"].notna()])


def test_beyond_the_budget_calls_are_thinned_and_it_is_said(awkward: Run) -> None:
    whole = timeline(awkward, "libc", "keep", events=10_000)
    assert not whole.notes
    thinned = timeline(awkward, "libc", "keep", events=400)
    assert thinned.events <= 400
    (note,) = thinned.notes
    assert "thinned" in note
    assert thinned.events > 200
    slowest = max(whole.calls[0].end - whole.calls[0].begin)
    assert max(thinned.calls[0].end - thinned.calls[0].begin) == slowest


def test_threads_have_tracks_of_their_own(tmp_path: Path, module: Any) -> None:
    run = load(synthetic.write_run(tmp_path, scenarios={"grow?live=400": 400}))
    found = Opened(write(run, "libc", "grow?live=400"), module)
    first, second = (found.named(f"thread {n}")[0] for n in range(2))
    assert len(first) == len(second) == 400
    assert first[0][0] == second[0][0] == 0
    assert len(found.named("causes")) == 2


def test_of_a_program_there_is_what_was_resident(tmp_path: Path, module: Any) -> None:
    run = load(synthetic.write_programs(tmp_path))
    found = Opened(write(run, "libc", "program-words"), module)
    (events,) = found.named("RSS")
    looks = run.first("libc", "program-words", Probe.PROGRAM_MEMORY)
    assert looks is not None
    assert [event.counter_value for _, event in events] == looks[1]["tree"]["rss_bytes"].tolist()


def test_a_cell_of_which_nothing_was_measured_says_what_measures_it(awkward: Run) -> None:
    with pytest.raises(NothingMeasuredError, match="the probes latency and footprint"):
        perfetto.write([awkward], Choice(allocator=NOTHING, scenario="keep"))
