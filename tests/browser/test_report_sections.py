"""Sections that only some reports have: growth, threads, claims, two runs side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase.analysis.frames import load
from allocphase.report.render import render
from tests.browser.conftest import OpenPage, Render
from tests.golden.synthetic import write_run, write_swept
from tests.support.scaling import write_scaled


def test_a_sweep_has_a_figure_and_its_exponents(open_page: OpenPage, rendered: Render) -> None:
    page = open_page("#growth", path=rendered(write_swept).report)
    page.locator("[data-figure=growth] canvas").first.wait_for()
    rows = page.locator("#growth-0 tbody tr")
    flat, linear = rows.filter(has_text="libc"), rows.filter(has_text="phase21")
    assert flat.locator("td").first.inner_text() == "0.00"
    assert flat.locator("td").last.inner_text() == "20.0 ns"
    assert linear.locator("td").first.inner_text() == "1.00"
    assert linear.locator("td").last.inner_text() == "240 ns"


def test_a_sweep_over_threads_has_its_lines_and_a_row_a_level(
    open_page: OpenPage, rendered: Render
) -> None:
    page = open_page("#scaling", path=rendered(write_scaled).report)
    page.locator("[data-figure=scaling] .panel").nth(5).locator("canvas").first.wait_for()
    titles = page.locator("[data-figure=scaling] .title b").all_inner_texts()
    assert titles == [
        "operations a second",
        "speed-up",
        "efficiency",
        "futex calls an operation",
        "calls that waited",
        "RSS a thread",
    ]
    heads = [text.strip() for text in page.locator("#scaling-0 thead th").all_inner_texts()]
    rows = page.locator("#scaling-0 tbody tr")
    assert rows.count() == 3 * 4
    told = [
        dict(zip(heads[1:], rows.nth(place).locator("td").all_inner_texts(), strict=True))
        for place in (2, 9)
    ]
    assert [(row["threads"], row["ops/s"], row["speed-up"], row["efficiency"]) for row in told] == [
        ("4+", "83.3 M/s", "2.00x", "100%"),
        ("2", "41.7 M/s", "1.00x", "50%"),
    ]
    assert (told[1]["futex/op"], told[1]["waited"], told[1]["RSS/thread"]) == (
        "0.20",
        "10%",
        "1.00 MiB",
    )
    assert page.locator("#growth").count() == 0


def test_threads_are_told_apart(open_page: OpenPage, rendered: Render) -> None:
    page = open_page(path=rendered(write_swept).report)
    table = page.locator("table.threads")
    assert table.count() == 1
    heads = [text.strip() for text in table.locator("thead th").all_inner_texts()]
    rows = table.locator("tbody tr").filter(has=page.get_by_text("phase2", exact=True))
    first, second = (
        dict(zip(heads[1:], rows.nth(thread).locator("td").all_inner_texts(), strict=True))
        for thread in (0, 1)
    )
    assert (first["thread"], first["operations"], first["time/op"]) == ("0", "800", "2.00 µs")
    assert (second["time/op"], second["system calls"]) == ("4.00 µs", "800")
    assert (first["timed remote frees"], second["timed remote frees"]) == ("-", "8,000")
    assert (first["malloc p50"], second["malloc p50"]) == ("2.03 µs", "-")


def test_each_allocator_s_slow_calls_are_told_by_cause(
    open_page: OpenPage, rendered: Render
) -> None:
    run = rendered(write_run).run
    page = open_page()
    table = page.locator("table.why").first
    row = table.locator("tbody tr").filter(has=page.get_by_text("libc", exact=True))
    cell = next(c for c in run.cell_list if c.allocator == "libc")
    shares = cell.metrics["outlier_causes"]["p99"]
    told = row.locator("td").first.inner_text()
    assert f"{shares['page_fault']:.0%} page fault, {shares['neither']:.0%} neither" in told
    widths = [float(r.get_attribute("width") or 0) for r in row.locator("rect").all()]
    assert widths[0] / sum(widths[:2]) == pytest.approx(shares["page_fault"], abs=1e-3)
    assert "46.1x" in row.locator("td.cost").nth(1).inner_text()


def test_a_partial_run_says_so_among_the_warnings(open_page: OpenPage, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "partial", scenarios={"keep": 240}, processes=999)
    page = open_page(path=render(load(folder)))
    done = len(load(folder).records)
    notes = page.locator("#verdict .doubt").all_inner_texts()
    assert any(f"partial: {done} of 999 processes" in note for note in notes)
    assert "partial" in folder.joinpath("report.md").read_text(encoding="utf-8")


def test_claims_stand_with_verdict_evidence_and_thesis(
    open_page: OpenPage, rendered: Render
) -> None:
    page = open_page("#claims", path=rendered(write_swept).report)
    text = page.locator("#claims").inner_text()
    assert "Spikes stay." in text and "1 inconsistent" in text
    assert "twice is <i>three times</i>" in text and "200 <b>exactly</b>" in text
    assert page.locator("#claims .tag").all_inner_texts() == ["reproduced", "inconsistent"]


def test_two_runs_stand_side_by_side_with_what_changed(
    open_page: OpenPage, pair_report: Path
) -> None:
    page = open_page(path=pair_report)
    ratios = page.locator("#changes tbody tr td:nth-child(5)")
    assert {text.partition("\n")[0].strip("~") for text in ratios.all_inner_texts()} == {"2.00x"}
    assert all("costs " in text for text in ratios.all_inner_texts())
    assert page.locator("#baseline option:checked").inner_text() == "libc, A"
    notes = page.locator("#verdict .doubt").first.inner_text()
    assert "A is golden <run>" in notes and "B is slower" in notes
    page.locator("[data-figure=percentiles]").first.scroll_into_view_if_needed()
    page.locator("[data-figure=percentiles] canvas").first.wait_for()
