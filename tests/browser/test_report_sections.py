"""Sections that only some reports have: growth, threads, claims, two runs side by side."""

from __future__ import annotations

from pathlib import Path

from tests.browser.conftest import OpenPage


def test_a_sweep_has_a_figure_and_its_exponents(open_page: OpenPage, swept_report: Path) -> None:
    page = open_page("#growth", path=swept_report)
    page.locator("[data-figure=growth] canvas").first.wait_for()
    rows = page.locator("#growth-0 tbody tr")
    flat, linear = rows.filter(has_text="libc"), rows.filter(has_text="phase21")
    assert flat.locator("td").first.inner_text() == "0.00"
    assert flat.locator("td").last.inner_text() == "20.0 ns"
    assert linear.locator("td").first.inner_text() == "1.00"
    assert linear.locator("td").last.inner_text() == "240 ns"


def test_threads_are_told_apart(open_page: OpenPage, swept_report: Path) -> None:
    page = open_page(path=swept_report)
    table = page.locator("table.threads")
    assert table.count() == 1
    assert table.locator("thead th").all_inner_texts() == ["allocator", "thread 0", "thread 1"]
    row = table.locator("tbody tr").filter(has_text="phase2").first
    assert row.locator("td").first.inner_text().endswith(", 800")


def test_claims_stand_with_verdict_evidence_and_thesis(
    open_page: OpenPage, swept_report: Path
) -> None:
    page = open_page("#claims", path=swept_report)
    text = page.locator("#claims").inner_text()
    assert "Spikes stay." in text and "1 inconsistent" in text
    assert "twice is <i>three times</i>" in text and "200 <b>exactly</b>" in text
    assert page.locator("#claims .tag").all_inner_texts() == ["reproduced", "inconsistent"]


def test_two_runs_stand_side_by_side_with_what_changed(
    open_page: OpenPage, pair_report: Path
) -> None:
    page = open_page(path=pair_report)
    ratios = page.locator("#changes tbody tr td:nth-child(5)")
    assert {text.strip("~") for text in ratios.all_inner_texts()} == {"2.00x"}
    assert page.locator("#baseline option:checked").inner_text() == "libc, A"
    notes = page.locator("#verdict .doubt").first.inner_text()
    assert "A is golden <run>" in notes and "B is slower" in notes
    page.locator("[data-figure=percentiles]").first.scroll_into_view_if_needed()
    page.locator("[data-figure=percentiles] canvas").first.wait_for()
