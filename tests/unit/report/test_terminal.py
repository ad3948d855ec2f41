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
UNDECIDED = Ratio(Interval(1.1, 0.9, 1.3, 0.9), rounds=5, mostly_replay=True)


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
    assert " ".join(lines[0].split()) == (
        "time/op replay ratio p99 p99.9 sys/op peak RSS frag kept"
    )
    assert ">99%" in lines[1] and "~1.10x*" in lines[1]


def test_a_usual_name_keeps_its_line_beside_usual_figures() -> None:
    assert len(_lines("large-blocks", USUAL)) == 2
    assert len(_lines("large-blocks", LONGEST)) == 3
