"""Ratios to a baseline: paired by round, with an interval or the admission that there is none."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from allocphase.analysis.baseline import default_baseline
from allocphase.analysis.frames import load
from allocphase.report.content.matrix import look_of, matrix_row, mean_row
from allocphase.report.content.pair import changes, paired
from allocphase.report.content.ratios import (
    MOSTLY_REPLAY,
    Ratio,
    both_mostly_replay,
    ratio,
)
from allocphase.report.content.rows import (
    bounds_below,
    interval_text,
    ratio_text,
    saved_below,
    saved_interval_text,
    saved_text,
)
from allocphase.report.content.sentences import verdict
from allocphase.report.content.source import Source
from allocphase.stats import Interval
from tests.golden.synthetic import DEARER, FLOOR, MIXED, NEAR_NS, write_near, write_run

BASE = np.array([10.0, 20.0, 10.0, 20.0, 10.0])


def _ratio(low: float, estimate: float, high: float) -> Ratio:
    return Ratio(Interval(estimate, low, high, 0.9), rounds=5)


def test_drift_that_both_share_cancels() -> None:
    found = ratio(BASE, 3 * BASE)
    assert found is not None
    assert found.interval.estimate == pytest.approx(3.0)
    assert found.interval.lower == pytest.approx(3.0)
    assert found.decided


def test_a_round_without_one_of_both_does_not_count() -> None:
    candidate = np.array([30.0, np.nan, 30.0, 60.0, np.nan])
    found = ratio(BASE, candidate)
    assert found is not None and found.rounds == 3
    assert found.interval.estimate == pytest.approx(3.0)


def test_too_few_rounds_decide_nothing_however_far_apart() -> None:
    found = ratio(BASE[:2], 100 * BASE[:2])
    assert found is not None and not found.decided
    assert math.isinf(found.interval.upper)
    assert ratio_text(found) == "~100x"
    assert interval_text(found) == "too few rounds"


def test_the_baseline_has_exactly_one_even_in_a_single_round() -> None:
    base = np.array([10.0])
    found = ratio(base, base)
    assert found is not None and found.exact
    assert ratio_text(found) == "1.00x"


def test_without_a_common_round_there_is_no_ratio() -> None:
    assert ratio(BASE, np.full(5, np.nan)) is None
    assert ratio(None, BASE) is None
    assert ratio_text(None) == interval_text(None) == "-"


def test_an_interval_that_holds_one_is_undecided_and_looks_so() -> None:
    found = _ratio(0.98, 1.2, 1.5)
    assert not found.decided
    assert look_of(found) == "undecided"
    assert ratio_text(found) == "~1.20x"
    assert interval_text(found) == "0.98 to 1.50x"


@pytest.mark.parametrize(
    ("estimate", "look"),
    [
        (1.01, "slower-1"),
        (1.25, "slower-2"),
        (2.0, "slower-3"),
        (400.0, "slower-4"),
        (0.99, "faster-1"),
        (0.8, "faster-2"),
        (0.5, "faster-3"),
        (0.01, "faster-4"),
    ],
)
def test_the_colour_is_stronger_the_farther_from_one_on_either_side(
    estimate: float, look: str
) -> None:
    assert look_of(_ratio(estimate * 0.999, estimate, estimate * 1.001)) == look


def test_libc_is_the_baseline_where_it_ran_and_the_first_allocator_elsewhere() -> None:
    assert default_baseline(["a", "libc"]) == "libc"
    assert default_baseline(["b", "a"]) == "b"
    assert default_baseline([]) is None


# ---- Of times that are mostly replay -----------------------------------------------------


@pytest.mark.parametrize(
    ("base", "candidate", "marked"),
    [
        (MOSTLY_REPLAY, 1.0, True),
        (0.69, 1.0, False),
        (1.0, 0.69, False),
        (None, 1.0, False),
        (1.0, None, False),
    ],
)
def test_a_ratio_is_marked_where_of_both_times_the_replay_takes_seven_tenths(
    base: float | None, candidate: float | None, marked: bool
) -> None:
    assert both_mostly_replay(base, candidate) is marked


def test_the_mark_stands_after_the_ratio_and_beside_that_of_the_undecided() -> None:
    decided = ratio(BASE, 0.9 * BASE, mostly_replay=True)
    undecided = Ratio(Interval(1.1, 0.9, 1.3, 0.9), rounds=5, mostly_replay=True)
    assert (ratio_text(decided), ratio_text(undecided)) == ("0.90x*", "~1.10x*")


def test_the_baseline_s_own_ratio_is_not_marked() -> None:
    assert ratio_text(ratio(BASE, BASE, mostly_replay=True)) == "1.00x"


def _marked(source: Source, baseline: str) -> dict[str, list[str]]:
    ratios = {s: {n: source.ratio(n, s, baseline) for n in source.names} for s in source.scenarios}
    return {s: [n for n, r in of.items() if r and r.mostly_replay] for s, of in ratios.items()}


def test_a_mark_depends_on_the_baseline_and_on_the_scenario(tmp_path: Path) -> None:
    source = Source.of(load(write_near(tmp_path / "near")))
    assert _marked(source, "libc") == {MIXED: ["mimalloc", "jemalloc"], DEARER: []}
    assert _marked(source, "mimalloc") == {MIXED: ["libc", "jemalloc"], DEARER: ["jemalloc"]}
    assert _marked(source, "ariax") == {MIXED: [], DEARER: []}
    assert [cell.text for cell in matrix_row(source, MIXED)] == [
        "1.00x",
        "0.88x*",
        "0.72x*",
        "1.15x",
    ]


def test_a_mean_is_marked_by_the_means_of_the_shares(tmp_path: Path) -> None:
    source = Source.of(load(write_near(tmp_path / "near")))
    assert not any("*" in cell.text for cell in mean_row(source))  # libc: 0.75 and 0.625
    source.baseline = "mimalloc"  # 0.86 and 0.71, of jemalloc 1 and 0.86
    assert [cell.text for cell in mean_row(source)] == ["1.14x", "1.00x", "0.83x*", "1.31x"]
    (overall,) = (one.text for one in verdict(source) if one.question == "Fastest")
    assert "jemalloc takes 0.83x (both mostly replay: 0." in overall
    assert "the most takes ariax, 1.31x (1." in overall
    assert "(geometric mean)" in overall


def test_without_a_floor_no_ratio_is_marked(tmp_path: Path) -> None:
    folder = write_near(tmp_path / "near")
    journal = folder / "processes.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    others = [line for line in lines if json.loads(line)["allocator"] != FLOOR]
    assert len(others) < len(lines)
    journal.write_text("".join(others), encoding="utf-8")
    source = Source.of(load(folder))
    assert {c.metrics["replay_share"] for c in source.all_cells} == {None}
    assert _marked(source, "mimalloc") == {MIXED: [], DEARER: []}


def test_of_two_runs_each_time_has_the_share_of_its_own_floor(tmp_path: Path) -> None:
    near = load(write_near(tmp_path / "near"))
    slower = {name: 1.2 * time_ns for name, time_ns in NEAR_NS.items()}
    other = load(write_run(tmp_path / "b", times_ns=slower, scenarios={MIXED: 400}, label="b"))
    ratios = {row["allocator"]: row["cells"][2]["text"] for row in changes(paired(near, other))}
    assert {name: "*" in text for name, text in ratios.items()} == {
        "libc": False,
        "mimalloc": True,
        "jemalloc": True,
        "ariax": False,
    }


# ---- Time saved --------------------------------------------------------------------------


def test_what_is_saved_is_found_whatever_both_do_besides() -> None:
    for rest in (0.0, 500.0):
        found = ratio(BASE + rest, BASE + rest - 3.0)
        assert found is not None and found.saved_ns is not None
        assert (found.saved_ns.lower, found.saved_ns.estimate, found.saved_ns.upper) == (3, 3, 3)
        assert (saved_text(found), saved_interval_text(found)) == ("3.00 ns", "3.00 to 3.00 ns")
        assert (found.interval.estimate < 0.8) == (rest == 0.0)


def test_under_a_ratio_stands_what_it_saves_or_costs_and_the_interval_counts_likewise() -> None:
    faster, slower = ratio(BASE, BASE - 3.0), ratio(BASE, BASE + np.array([3, 2, 4, 3, 3]))
    assert (saved_below(faster), bounds_below(faster)) == ("saves 3.00 ns", "3.00 to 3.00 ns")
    assert (saved_below(slower), bounds_below(slower)) == ("costs 3.00 ns", "2.00 to 4.00 ns")
    assert (saved_text(slower), saved_interval_text(slower)) == ("-3.00 ns", "-4.00 to -2.00 ns")


def test_what_cannot_be_told_says_so_as_the_ratio_does() -> None:
    mixed = ratio(BASE, BASE + np.array([1, -1, 2, -2, 3]))
    assert (saved_text(mixed), saved_below(mixed)) == ("~-1.00 ns", "costs ~1.00 ns")
    few = ratio(BASE[:2], BASE[:2] + 5.0)
    assert (saved_text(few), saved_interval_text(few)) == ("~-5.00 ns", "too few rounds")
    assert (saved_below(few), bounds_below(few)) == ("costs ~5.00 ns", "")


def test_the_baseline_saves_nothing_and_has_nothing_below(tmp_path: Path) -> None:
    base = ratio(BASE, BASE)
    assert (saved_text(base), saved_interval_text(base)) == ("0 ns", "-")
    assert saved_below(base) == bounds_below(base) == saved_below(None) == ""
    assert saved_text(None) == saved_interval_text(None) == "-"
    source = Source.of(load(write_near(tmp_path / "near")))
    assert [cell.below for cell in matrix_row(source, MIXED)] == [
        "",
        "saves 0.50 ns",
        "saves 1.10 ns",
        "costs 0.60 ns",
    ]
    assert [cell.below for cell in mean_row(source)] == [""] * 4


def test_the_run_s_cells_save_what_the_report_says(tmp_path: Path) -> None:
    run = load(write_near(tmp_path / "near"))
    source = Source.of(run)
    assert run.baseline == source.baseline == "libc"
    for cell in run.cell_list:
        found = source.ratio(cell.allocator, cell.scenario)
        assert found is not None and found.saved_ns is not None
        assert cell.metrics["saved_per_op_ns"] == found.saved_ns.estimate
        interval = [found.saved_ns.lower, found.saved_ns.upper]
        assert cell.metrics["saved_per_op_ns_interval"] == interval


def test_from_one_run_to_another_it_lies_between_the_farthest_ends(tmp_path: Path) -> None:
    near = load(write_near(tmp_path / "near"))
    slower = {name: time_ns + 2.0 for name, time_ns in NEAR_NS.items()}
    other = load(write_run(tmp_path / "b", times_ns=slower, scenarios={MIXED: 400}, label="b"))
    (row,) = [r for r in changes(paired(near, other)) if r["allocator"] == "libc"]
    assert [cell["below"] for cell in row["cells"][2:4]] == ["costs 2.00 ns", "1.80 to 2.20 ns"]
    assert {cell["below"] for cell in row["cells"][:2]} == {""}


def test_a_gate_s_own_baseline_comes_before_libc() -> None:
    assert default_baseline(["libc", "baseline", "candidate"]) == "baseline"
