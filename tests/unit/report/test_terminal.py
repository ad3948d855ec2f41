"""The terminal's table: 80 columns, whatever the figures."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from allocphase.report.content.ratios import Ratio
from allocphase.report.text.terminal import figures_table
from allocphase.stats import Interval
from allocphase.text.console import WIDTH
from tests.support.cells import cell_of

# Each as long as its format makes it; a marked ratio is never far from 1.
LONGEST: dict[str, Any] = {
    "time_per_op_ns": 999.9,
    "replay_share": 0.999,
    "latency_ns": {"malloc": {"p99": 999.9, "p99_9": 999.9}},
    "syscalls_per_op": 1e-6,
    "peak_rss_bytes": 1_072_693_248,
    "rss_after_free_bytes": 1_072_693_247,
    "fragmentation": 1234.5,
}
USUAL: dict[str, Any] = {
    **LONGEST,
    "time_per_op_ns": 12.3,
    "latency_ns": {"malloc": {"p99": 123.0, "p99_9": 1230.0}},
    "syscalls_per_op": 0.00123,
    "peak_rss_bytes": 123_456_789,
    "fragmentation": 19.4,
}
UNDECIDED = Ratio(
    Interval(1.1, 0.9, 1.3, 0.9),
    rounds=5,
    mostly_replay=True,
    saved_ns=Interval(-0.1, -999.0, 999.0, 0.9),
)
HEADINGS = "time/op replay ratio saved interval p99 p99.9 sys/op peak RSS frag kept"


def _lines(name: str, metrics: dict[str, Any]) -> list[str]:
    console = Console(file=io.StringIO(), width=WIDTH, highlight=False, markup=False)
    cell = cell_of(name, metrics)
    with console.capture() as capture:
        console.print(figures_table([cell], {name: UNDECIDED}))
    return capture.get().splitlines()


@pytest.mark.parametrize("metrics", [USUAL, LONGEST])
def test_no_figure_is_cut_and_no_line_is_longer_than_the_terminal(metrics: dict[str, Any]) -> None:
    lines = _lines("phase3?pool_bytes=16777216", metrics)
    assert max(map(len, lines)) <= WIDTH
    assert "…" not in "".join(lines)
    headings = [" ".join(line.split()) for line in lines if line.startswith("     ")]
    assert len(headings) == 2
    assert " ".join(headings) == HEADINGS
    assert ">99%" in lines[1] and "~1.10x*" in lines[1]
    assert "~-0.10 ns -999 to 999 ns" in lines[1]


def test_a_cell_without_memory_has_no_line_below() -> None:
    timed = {name: USUAL[name] for name in ("time_per_op_ns", "replay_share", "latency_ns")}
    console = Console(file=io.StringIO(), width=WIDTH, highlight=False, markup=False)
    cells = [cell_of("timed", timed), cell_of("both", USUAL)]
    with console.capture() as capture:
        console.print(figures_table(cells, {"timed": UNDECIDED, "both": UNDECIDED}))
    names = [line.split()[0] for line in capture.get().splitlines()]
    assert (names.count("timed"), names.count("both")) == (1, 2)


def test_a_usual_name_keeps_its_line_beside_usual_figures() -> None:
    """A line in each of two blocks, each with its heading."""
    assert len(_lines("large-blocks", USUAL)) == 4
    assert len(_lines("large-blocks", LONGEST)) == 4
