"""The run directory: what is written comes back, and what is broken is refused in one line."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allocphase.errors import DataError, UsageError
from allocphase.operation import FREE_REMOTE
from allocphase.run.traces import ops_arrays
from allocphase.scenario import generate, resolve
from allocphase.store.reader import RunFiles
from allocphase.store.record import Event, EventRecord, ProcessRecord
from allocphase.store.writer import RunWriter
from allocphase.trace import read
from allocphase.trace.records import Kind, kind_of
from tests.support.manifests import plan_entry
from tests.support.runs import manifest, process
from tests.support.traces import batch, write_trace


@pytest.fixture
def writer(tmp_path: Path) -> RunWriter:
    writer = RunWriter(tmp_path / "run")
    writer.write_manifest(manifest("one"))
    return writer


def test_a_record_comes_back_as_it_was() -> None:
    record = process("latency", {"samples": "raw"}, message='a "quoted"\nline, é', id=7)
    line = record.to_json()
    assert "\n" not in line
    assert ProcessRecord.from_json(line) == record


def test_quantiles_stand_in_for_samples_that_were_not_kept(writer: RunWriter) -> None:
    record = process("latency", {}, id=1, quantiles_ns={"p50": 30.0, "p99": None})
    writer.add(record, {})
    files = RunFiles(writer.path)
    assert files.processes() == [record]
    assert files.samples(1) == {}


def test_records_come_back_in_the_order_of_finishing(writer: RunWriter) -> None:
    for number in (4, 0, 2):
        writer.add(process("verify", {}, id=number), {})
    assert [record.id for record in RunFiles(writer.path).processes()] == [4, 0, 2]


def test_samples_are_synced_and_named_before_the_journal_s_line_is_written_and_synced(
    writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each sync finds on disk: file, its folder, line, the journal's folder."""
    synced: list[tuple[str, list[str], bytes]] = []
    journal = writer.path / "processes.jsonl"

    def fsync(file: int) -> None:
        what = Path(f"/proc/self/fd/{file}").readlink().name
        samples = sorted(path.name for path in (writer.path / "samples").iterdir())
        synced.append((what, samples, journal.read_bytes() if journal.exists() else b""))

    monkeypatch.setattr(os, "fsync", fsync)
    record = process("latency", {}, id=3)
    writer.add(record, {"call_ticks": np.arange(4, dtype=np.uint32)})
    line = record.to_json().encode() + b"\n"
    assert synced == [
        ("3.npz.partial", ["3.npz.partial"], b""),
        ("samples", ["3.npz"], b""),
        ("processes.jsonl", ["3.npz"], line),
        ("run", ["3.npz"], line),
    ]


def test_samples_are_on_disk_before_the_line_that_makes_them_count(
    writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: ProcessRecord) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProcessRecord, "to_json", fail)
    with pytest.raises(KeyboardInterrupt):
        writer.add(process("latency", {}, id=3), {"call_ticks": np.arange(4, dtype=np.uint32)})
    assert (writer.path / "samples" / "3.npz").is_file()
    assert RunFiles(writer.path).processes() == []


def test_a_process_without_samples_has_none(writer: RunWriter) -> None:
    writer.add(process("verify", {}, id=1), {})
    assert RunFiles(writer.path).samples(1) == {}


@pytest.mark.parametrize("torn", ['{"id":1,"round"', "", "{", "\x00\x00\x00", '{"id":1}'])
def test_a_torn_last_line_is_dropped(writer: RunWriter, torn: str) -> None:
    writer.add(process("verify", {}), {})
    with (writer.path / "processes.jsonl").open("a") as journal:
        journal.write(torn)
    assert len(RunFiles(writer.path).processes()) == 1


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "5", '{"id":1}', '"id"', '{"id":1,"surprise":2}', "\x00", "nul\xff"]
)
def test_a_broken_line_before_the_last_names_file_and_line(writer: RunWriter, line: str) -> None:
    journal = writer.path / "processes.jsonl"
    writer.add(process("verify", {}), {})
    with journal.open("ab") as file:
        file.write(line.encode("latin-1") + b"\n")
    writer.add(process("verify", {}), {})
    with pytest.raises(DataError, match=rf"{journal}: line 2: "):
        RunFiles(writer.path).processes()


@pytest.mark.parametrize("change", [{"result": []}, {"allocator": 5}, {"message": None}])
def test_a_record_with_a_value_of_the_wrong_type_is_refused(change: dict[str, Any]) -> None:
    values = json.loads(process("verify", {}).to_json()) | change
    with pytest.raises(ValueError, match="a process record with a wrong value: "):
        ProcessRecord.from_json(json.dumps(values))


def test_a_manifest_is_written_whole_or_not_at_all(writer: RunWriter) -> None:
    before = (writer.path / "run.json").read_bytes()
    with pytest.raises(TypeError):
        writer.write_manifest(replace(manifest("one"), environment={"cpu": {1, 2}}))
    assert (writer.path / "run.json").read_bytes() == before
    assert not (writer.path / "run.json.partial").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "run.json: not readable as JSON"),
        ("{", "run.json: not readable as JSON"),
        ("[]", "run.json: schema: this version reads schema 3"),
        ('{"schema": 2}', "run.json: schema: this version reads schema 3"),
        ('{"schema": 3}', "run.json: label: missing"),
    ],
)
def test_a_broken_manifest_names_the_file_and_the_key(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        RunFiles(tmp_path)


@pytest.mark.parametrize("entries", [{}, [5], [{}], [{"name": 5}], None])
@pytest.mark.parametrize("key", ["allocators", "scenarios"])
def test_lists_of_a_manifest_have_names(tmp_path: Path, key: str, entries: object) -> None:
    values = json.loads(manifest("one").to_json()) | {key: entries}
    (tmp_path / "run.json").write_text(json.dumps(values))
    with pytest.raises(UsageError, match=rf"run.json: {key}(\[0\])?(\.\w+)?: (must be|missing)"):
        RunFiles(tmp_path)


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{tmp_path}: no run directory"):
        RunFiles(tmp_path)


def test_a_scenario_of_the_run_that_has_no_operations_file_is_one_clear_error(
    writer: RunWriter,
) -> None:
    with pytest.raises(DataError, match=r"operations/0\.npz: not a sample file"):
        RunFiles(writer.path).operations("some")


@pytest.mark.parametrize(
    "spec",
    [
        "realloc-growth?growing=8&operations=500",
        "larson?slots=20&replacements=200",
        "ariax-domains?replacements=50",
    ],
)
def test_the_size_of_a_free_is_its_objects(spec: str) -> None:
    made = generate(resolve(spec)[0])
    arrays = ops_arrays(made.ops, made.threads)
    sizes: dict[int, int] = {}
    kinds = kind_of(made.ops)
    by_slot = np.lexsort((made.ops["epoch"], made.ops["slot"])).tolist()
    for place in range(len(made.ops)) if len(made.threads) == 1 else by_slot:
        slot, size = made.ops["slot"][place], int(made.ops["size"][place])
        if kinds[place] <= Kind.ALIGNED_ALLOC:
            sizes[slot] = size
        expected = size if kinds[place] == Kind.WRITE else sizes[slot]
        assert arrays["size"][place] == expected
    assert np.isin(kinds, (Kind.FREE, Kind.FREE_FOREIGN)).any()


def test_operations_are_kind_size_thread_and_rank(tmp_path: Path) -> None:
    ops = batch(4, 32)
    path = write_trace(
        tmp_path / "t", [*ops, *ops], thread=[0, 1, 0, 1, 0, 1, 1, 0] * 2, build_ops=0, drain_ops=8
    )
    made = read(path)
    arrays = ops_arrays(made.ops, made.threads)
    assert arrays["thread_build"].tolist() == [0, 0]
    assert arrays["thread_drain"].tolist() == [4, 4]
    steady = np.r_[0:4, 8:12]
    arrays = {name: arrays[name][steady] for name in ("thread", "op", "size", "kind")}
    assert arrays["thread"].tolist() == [0] * 4 + [1] * 4
    assert arrays["op"].tolist() == [0, 1, 2, 3] * 2
    assert arrays["size"].tolist() == [32, 32, 32, 32] * 2
    own, remote = int(Kind.FREE), FREE_REMOTE
    # Slots 0 and 1 are freed by their own thread; 2 and 3 by the other.
    assert arrays["kind"].tolist() == [0, 0, own, remote, 0, 0, own, remote]


# ---- Records and events ------------------------------------------------------------------


def test_a_process_that_is_there_twice_names_file_line_and_process(writer: RunWriter) -> None:
    for number in (4, 5, 4):
        writer.add(process("verify", {}, id=number), {})
    journal = writer.path / "processes.jsonl"
    with pytest.raises(DataError, match=rf"{journal}: line 3: process 4 is there twice"):
        RunFiles(writer.path).processes()


def resumable(path: Path) -> RunWriter:
    writer = RunWriter(path)
    plan = plan_entry(processes=5, resumable=True)
    writer.write_manifest(replace(manifest("one"), plan=plan))
    return writer


def test_a_run_that_has_not_ended_says_how_much_there_is_and_how_to_go_on(tmp_path: Path) -> None:
    writer = resumable(tmp_path / "my run")
    writer.add(process("verify", {}), {})
    files = RunFiles(writer.path)
    assert files.unfinished() == (1, 5)
    way_out = f"continue with allocphase run --resume '{writer.path}'"
    assert files.notes() == [f"partial: 1 of 5 processes; {way_out}"]


def test_a_run_that_has_ended_is_not_partial_and_tells_what_happened_to_it(tmp_path: Path) -> None:
    writer = resumable(tmp_path)
    writer.tell(Event.RESUMED, "continued after a while")
    writer.tell(Event.ENDED, "4 processes")
    files = RunFiles(writer.path)
    assert files.unfinished() is None
    assert files.notes() == ["continued after a while"]


def test_a_run_of_an_older_version_or_a_gate_is_never_said_to_be_partial(
    writer: RunWriter,
) -> None:
    assert RunFiles(writer.path).unfinished() is None
    assert RunFiles(writer.path).notes() == []


def test_a_torn_event_did_not_happen(tmp_path: Path) -> None:
    writer = resumable(tmp_path)
    writer.tell(Event.ENDED, "5 processes")
    events = tmp_path / "events.jsonl"
    events.write_bytes(events.read_bytes()[:-1])
    assert RunFiles(tmp_path).unfinished() == (0, 5)


@pytest.mark.parametrize(
    "line", ["", "[]", "{", '{"event": "ended"}', '{"event": "moved", "message": "x"}', "\xff"]
)
def test_a_broken_event_names_file_and_line(tmp_path: Path, line: str) -> None:
    writer = resumable(tmp_path)
    (tmp_path / "events.jsonl").write_bytes(line.encode("latin-1") + b"\n")
    with pytest.raises(DataError, match=r"events\.jsonl: line 1: "):
        RunFiles(writer.path).notes()


def test_a_round_that_too_few_processes_come_before_is_no_round(writer: RunWriter) -> None:
    """A report would make a million rows of it."""
    for number in range(3):
        writer.add(process("verify", {}, id=number, round=min(number, 1)), {})
    assert len(RunFiles(writer.path).processes()) == 3
    writer.add(process("verify", {}, id=3, round=999_999), {})
    with pytest.raises(DataError, match=r"processes\.jsonl: line 4: is of round 999999 already"):
        RunFiles(writer.path).processes()


def test_more_events_than_a_run_can_have_are_refused(tmp_path: Path) -> None:
    path = resumable(tmp_path).path
    line = EventRecord(event=Event.RESUMED, message="continued").to_json() + "\n"
    (path / "events.jsonl").write_text(line * 10_000)
    assert len(RunFiles(path).notes()) >= 10_000
    (path / "events.jsonl").write_text(line * 10_001)
    with pytest.raises(DataError, match=r"events\.jsonl: more than 10000 events"):
        RunFiles(path).notes()
