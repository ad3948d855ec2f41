"""Numbers at the ends of what a file may hold: refused by name, or shown, and never a traceback."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from allocphase.errors import AllocphaseError
from allocphase.files.typed import LEAST_AMOUNT, MOST_AMOUNT
from allocphase.gate import run_gate
from allocphase.gate.baseline import load_baseline
from allocphase.gate.baseline_text import describe
from allocphase.gate.saved import against_saved
from allocphase.probe.arrays import Arrays
from allocphase.store.record import ProcessRecord
from tests.support.gates import FigureExecutor, gate_request, no_progress
from tests.support.runs import memory_part, process, write_run
from tests.unit.gate.test_saved import save

main: click.Group = importlib.import_module("allocphase.cli").main

EXTREMES = (-1, 1e308, 5e-324, 0, MOST_AMOUNT)
Path_ = tuple[str | int, ...]


def invoke(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def numbers(document: object, path: Path_ = ()) -> Iterator[Path_]:
    """Where a document has a number."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from numbers(value, (*path, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from numbers(value, (*path, index))
    elif isinstance(document, int | float) and not isinstance(document, bool):
        yield path


def changed(document: Any, path: Path_, value: float | str) -> Any:
    """A copy with another value in that place."""
    found = copy.deepcopy(document)
    place = found
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return found


# ---- Records -----------------------------------------------------------------------------

PARTS: dict[str, dict[str, Any]] = {
    "throughput": {
        "cold_ns_per_op": 9.0,
        "warm_ns_per_op": [8.0, 8.5],
        "warm_build_ns_per_op": [7.0],
        "thread_ns_per_op": [8.0],
        "helper_ns_per_op": 0.5,
        "replays_per_pass": 3,
        "run_delay_ns": 4,
    },
    "latency": {"slow_ns": 400.0, "slow_calls_dropped": 1},
    "syscalls": {
        "init": {"mmap": 1},
        "operation": {"mmap": 2},
        "teardown": {},
        "thread_calls": [2],
        "pass_ns": 5,
    },
    "memory": memory_part(mapped_after_teardown_bytes=1, rss_after_teardown_bytes=1),
    "footprint": {"pass_ns": 5},
    "faults": {"call_faults": 1, "touch_faults": 1, "pass_ns": 5},
    "verify": {"operations": 6, "replays": 2},
}
SHARED: dict[str, Any] = {
    "clock": {"hz": 2e9, "overhead_ns": 18.0, "step_ns": 1.0, "minimum_ns": 9.0},
    "usage": {"minor_faults": 1, "involuntary_switches": 1},
    "disturbance": {"span_s": 1.0, "others_s": 0.5, "steal_s": 0.5, "clock_khz": 1e6},
}


def line_of(probe: str) -> dict[str, Any]:
    kept = {"quantiles_ns": {"p50": 30.0}} if probe == "latency" else {}
    record = process(probe, PARTS[probe], more=SHARED, **kept)
    return cast(dict[str, Any], json.loads(record.to_json()))


PLACES = [(probe, place) for probe in PARTS for place in numbers(line_of(probe))]


@pytest.mark.parametrize("value", [-1, -1e-3, -1e308, 1e308, 5e-324, 1e19, 1e-13])
@pytest.mark.parametrize(("probe", "place"), PLACES, ids=str)
def test_a_record_with_a_number_that_no_process_measures_is_refused_by_its_key(
    probe: str, place: Path_, value: float
) -> None:
    line = json.dumps(changed(line_of(probe), place, value))
    with pytest.raises(ValueError, match=str(place[-1])):
        ProcessRecord.from_json(line)


@pytest.mark.parametrize("value", [0.0, LEAST_AMOUNT, MOST_AMOUNT])
@pytest.mark.parametrize("command", ["report", "compare"])
def test_a_run_at_the_ends_of_what_is_measured_is_shown(
    tmp_path: Path, command: str, value: float
) -> None:
    """Of one allocator, beside one whose figures are ordinary."""
    records: list[tuple[ProcessRecord, Arrays]] = []
    count = int(value)
    times = {"cold_ns_per_op": value, "warm_ns_per_op": [value] * 3, "helper_ns_per_op": value}
    sizes = memory_part(peak_rss_bytes=count, peak_live_bytes=count, page_faults=count)
    calls = {"init": {}, "operation": {"mmap": count}, "teardown": {}, "backend": "dispatch"}
    extreme: dict[str, dict[str, Any]] = {"throughput": times, "memory": sizes, "syscalls": calls}
    ticks = np.full(6, 100, dtype=np.uint32)
    for name in ("extreme", "ordinary"):
        for probe, part in extreme.items():
            for repeat in range(6):
                given = part if name == "extreme" else PARTS[probe]
                place = {"round" if probe == "throughput" else "repeat": repeat}
                record = process(probe, given, allocator=name, id=len(records), **place)
                records.append((record, {}))
        hz = max(value, LEAST_AMOUNT) if name == "extreme" else 2e9
        clock = {"clock": {"hz": hz, "overhead_ns": value, "step_ns": value}}
        record = process("latency", {}, allocator=name, id=len(records), more=clock)
        records.append((record, {"call_ticks": ticks, "touch_ticks": ticks}))
        kept = {"quantiles_ns": {"p50": value}, "round": 1, "id": len(records)}
        records.append((process("latency", {}, allocator=name, more=clock, **kept), {}))
    write_run(tmp_path / "run", records, allocators=("extreme", "ordinary"))
    words = ["--baseline", "ordinary"] if command == "compare" else []
    assert invoke(command, tmp_path / "run", *words).exit_code == 0
    if command == "compare":
        assert invoke(command, tmp_path / "run", "--baseline", "extreme").exit_code == 0


# ---- gate.json and baselines -------------------------------------------------------------


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a gate with a row of each kind."""
    executor = FigureExecutor(
        time_ns=lambda job: (12.0 if job.allocator.name == "candidate" else 10.0) + job.id % 7,
        calls=lambda _: {"mmap": 3},
    )
    request = gate_request(tmp_path_factory.mktemp("gate"), "peak_rss=10%", max_rounds=6)
    return Path(run_gate(request, executor, progress=no_progress).sessions[0].path)


def test_a_verdict_with_any_number_anywhere_is_shown_or_refused(
    gated: Path, tmp_path: Path
) -> None:
    document = json.loads((gated / "gate.json").read_text())
    kinds = {row["metric"]: row for row in document["rows"]}
    document["rows"] = [kinds[metric] for metric in ("time", "syscalls", "peak_rss")]
    row = document["rows"][0]["id"]
    outputs = [f"{flag}={tmp_path / flag}" for flag in ("--json", "--junit", "--export-markdown")]
    refused = 0
    for place in numbers(document):
        for value in EXTREMES:
            text = json.dumps(changed(document, place, value))
            (tmp_path / "gate.json").write_text(text)
            result = invoke("gate", "--again", tmp_path, "--all-rows", "--explain", row, *outputs)
            assert result.exit_code in (0, 2, 3, 4, 5), (place, value)
            refused += result.exit_code == 2
    assert refused


def test_a_baseline_with_any_number_anywhere_is_gated_against_or_refused(tmp_path: Path) -> None:
    """A time of 0 divides nothing."""
    executor = FigureExecutor(calls=lambda _: {"mmap": 3})
    save(tmp_path, executor, rounds=8)
    path = tmp_path / "saved" / "main.json"
    document = json.loads(path.read_text())
    refused = 0
    places = [place for place in numbers(document) if place[0] != "fingerprint"]
    firsts = {place[:-1]: place for place in reversed(places)}.values()
    for place in firsts:
        for value in EXTREMES:
            path.write_text(json.dumps(changed(document, place, value)))
            try:
                describe(load_baseline("main", tmp_path / "saved"))
                request = gate_request(tmp_path, "time=10%", max_rounds=8)
                request = against_saved(request, "main", tmp_path / "saved", allow_mismatch=True)
                run_gate(request, executor, progress=no_progress)
            except AllocphaseError as error:
                assert str(path) in str(error)
                refused += 1
    assert refused
