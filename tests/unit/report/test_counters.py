"""What a processor counted, from readings to every kind of report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from allocphase.analysis.frames import Run
from allocphase.report.content.counters import counters
from allocphase.report.content.source import Source
from allocphase.report.render import render
from allocphase.report.text.terminal import print_summary
from allocphase.store.record import ProcessRecord
from tests.support.runs import process, write_run

IDS = {"instructions": 7, "cycles": 8, "branch_misses": 9}
REPLAYS, OPERATIONS = 10, 6


def counting(
    allocator: str, process_id: int, per_op: Sequence[float], *, round_index: int
) -> ProcessRecord:
    """A process with three passes; of the middle one the counts are as they are, an operation."""
    at = [1_000_000] * len(IDS)
    readings = [_reading(0, at)]
    for number, factor in enumerate((0.5, 1.0, 3.0)):
        for place, value in enumerate(per_op):
            at[place] += round(value * factor * REPLAYS * OPERATIONS)
        readings.append(_reading(number + 1, at))
    part = {
        "events": IDS,
        "left_out": {"ll_misses": "this processor does not count them"},
        "replays_per_pass": REPLAYS,
        "readings": readings,
    }
    more = {"repeated_operations": OPERATIONS}
    return process(
        "hardware", part, id=process_id, round=round_index, allocator=allocator, more=more
    )


def _reading(number: int, values: Sequence[int]) -> list[int]:
    """Words as the kernel gives them; the group is enabled for 20 ms more each time."""
    ns = 20_000_000 * number
    pairs = [word for pair in zip(values, IDS.values(), strict=True) for word in pair]
    return [len(IDS), ns, ns, *pairs]


def run_of(folder: Path) -> Run:
    figures = {"null": [(10.0, 4.0, 0.0)] * 3, "one": [(40.0, 12.0, 0.5)] * 2 + [(90.0, 30.0, 2.0)]}
    records = [
        counting(name, 10 * place + index, each, round_index=index)
        for place, (name, all_of_it) in enumerate(figures.items())
        for index, each in enumerate(all_of_it)
    ]
    return write_run(folder, [(record, {}) for record in records])


def test_a_cells_figure_is_the_median_of_processes_and_of_their_passes(tmp_path: Path) -> None:
    (cell,) = run_of(tmp_path / "run").cell_list
    assert cell.metrics["hardware_per_op"] == {
        "instructions": 40.0,
        "cycles": 12.0,
        "branch_misses": 0.5,
    }
    assert cell.metrics["hardware_floor_per_op"] == {
        "instructions": 10.0,
        "cycles": 4.0,
        "branch_misses": 0.0,
    }


def test_every_report_has_them_beside_the_floors(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    source = Source.of(run)
    found = counters(source, source.cells("some"))
    assert found is not None
    headings = ["instructions:u/op", "cycles:u/op", "branch-misses:u/op"]
    assert [one.heading for one in found.columns] == headings
    assert [row.name for row in found.rows] == ["one"]
    assert found.floor is not None
    assert (found.rows[0].values, found.floor.values) == ((40.0, 12.0, 0.5), (10.0, 4.0, 0.0))
    stream = io.StringIO()
    print_summary(run, stream)
    page = Path(render(run)).read_text(encoding="utf-8")
    beside = (run.path / "report.md").read_text(encoding="utf-8")
    for text in (stream.getvalue(), page, beside):
        assert all(heading in text for heading in headings)
        assert "outside of the kernel" in " ".join(text.split())
        assert "Simulated:" not in text
    assert "| floor | 10.00 | 4.00 | 0 |" in beside


def test_without_any_there_is_no_table(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [(process("memory", {}), {})])
    source = Source.of(run)
    assert counters(source, source.cells("some")) is None
