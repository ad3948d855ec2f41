"""Causes and threads as reports tell them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allocphase.analysis.cell import Cell
from allocphase.analysis.latency import CAUSES, key_of
from allocphase.probe.arrays import Arrays
from allocphase.report.content.causes import FEW, NAMES, causes_seen, shown_quantile, slow, why
from allocphase.report.content.threads import thread_calls
from allocphase.report.content.values import format_percent, kept_share
from allocphase.report.page.parts.causes import WIDTH, bar
from allocphase.store.record import ProcessRecord
from tests.support.cells import cell_of
from tests.support.runs import process, write_run


def cell(**metrics: Any) -> Cell:
    return cell_of("one", metrics)


def told(**shares: float) -> dict[str, Any]:
    return {"above_ns": 100.0, "calls": 50, **{key_of(c): shares.get(key_of(c), 0) for c in CAUSES}}


FAULTING = cell(
    outlier_causes={"p99": told(page_fault=0.996, neither=0.004), "p99_9": None, "p99_99": None},
    cause_calls={"system_call": FEW - 1, "page_fault": FEW, "waited": 0},
    cause_cost_ratio={"system_call": 9.0, "page_fault": 62.0, "waited": None},
)
LONG = cell(outlier_causes={"p99": None, "p99_9": None, "p99_99": told(system_call=1.0)})


def test_a_row_has_each_cause_s_share_and_what_it_costs() -> None:
    row = why(FAULTING, "p99", ["system call", "page fault", "neither"])
    assert row.shares == ("0%", ">99%", "<1%")
    assert row.costs == ("", "62.0x", "")  # of nine calls no cost is told


def test_what_is_not_known_is_a_dash_and_never_nothing() -> None:
    assert why(LONG, "p99", ["system call"]).shares == ("-",)
    assert why(cell(), "p99", ["system call"]).shares == ("-",)
    assert slow(LONG, "p99") is None


def test_the_lowest_quantile_that_anybody_has_is_shown() -> None:
    assert shown_quantile([LONG, cell()]) == "p99_99"
    assert shown_quantile([LONG, FAULTING]) == "p99"
    assert shown_quantile([cell()]) is None
    assert list(NAMES.values()) == ["slowest 1%", "slowest 0.1%", "slowest 0.01%"]


def test_causes_that_no_call_had_are_left_out() -> None:
    assert causes_seen([FAULTING, LONG]) == ["system call", "page fault", "neither"]


def test_a_bar_s_parts_fill_it_in_the_order_of_the_causes() -> None:
    shares = dict.fromkeys(CAUSES, 0.0) | {"page fault": 0.25, "system call": 0.5, "neither": 0.25}
    parts = re.findall(r'x="([\d.]+)" width="([\d.]+)" height="14" fill="(\S+)"', str(bar(shares)))
    assert [float(x) for x, _, _ in parts] == [0.0, WIDTH / 2, WIDTH * 3 / 4]
    assert sum(float(width) for _, width, _ in parts) == WIDTH
    assert len({colour for _, _, colour in parts}) == 3


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "-"),
        (0.0, "0%"),
        (1e-9, "<1%"),
        (0.005, "<1%"),
        (0.5, "50%"),
        (0.996, ">99%"),
        (1, "100%"),
    ],
)
def test_a_share_is_neither_rounded_to_nothing_nor_to_everything(
    share: float | None, text: str
) -> None:
    assert format_percent(share) == text


def test_what_is_kept_is_at_most_the_peak() -> None:
    assert kept_share({"peak_rss_bytes": 100, "rss_after_free_bytes": 25}) == 0.25
    assert kept_share({"peak_rss_bytes": 100, "rss_after_free_bytes": 103}) == 1.0
    assert kept_share({"peak_rss_bytes": 0, "rss_after_free_bytes": 0}) is None
    assert kept_share({}) is None


def timed() -> tuple[ProcessRecord, Arrays]:
    """Of the written trace's malloc, calloc, malloc and three frees; two ticks are a nanosecond."""
    ticks = np.array([20, 60, 40, 200, 400, 600], dtype=np.uint32)
    return process("latency", {}), {"call_ticks": ticks, "touch_ticks": ticks * 0}


def test_threads_are_told_apart_by_where_their_operations_stand(tmp_path: Path) -> None:
    """In two warm replays; the first replay is told of elsewhere."""
    run = write_run(tmp_path, [timed()], threads=(3, 3), warm=2)
    first, second = thread_calls(run, "one", "some")
    assert (first.operations, second.operations) == (3, 3)
    assert (first.of["malloc"]["max"], first.of["calloc"]["max"]) == (20.0, 30.0)
    assert (first.of[""]["samples"], second.of["free"]["samples"]) == (6, 6)
    assert (second.of["free"]["max"], second.of[""]["mean"]) == (300.0, 200.0)
    assert set(first.of) == {"", "malloc", "calloc"}


def test_a_single_thread_has_no_table(tmp_path: Path) -> None:
    assert thread_calls(write_run(tmp_path, [timed()]), "one", "some") == ()
