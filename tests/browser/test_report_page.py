"""The report in a browser: what a reader does with it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import Locator, Page

from allocphase.report.content.ratios import MOSTLY_REPLAY
from allocphase.report.content.rows import bounds_below, saved_below
from allocphase.report.content.source import Source
from allocphase.text.units import format_ratio
from tests.browser.conftest import OpenPage, Render, Write
from tests.golden.synthetic import MARKUP, write_near, write_run

FIRST = "#figures-of-0"


def _above(text: str) -> str:
    """A cell's own text, without the one below it."""
    return text.partition("\n")[0]


def _column(page: Page, table: str, column: int) -> list[str]:
    cells = page.locator(f"{table} tbody tr:visible > :nth-child({column})")
    return [_above(text.strip()) for text in cells.all_inner_texts()]


def _values(page: Page, table: str, column: int) -> list[float]:
    cells = page.locator(f"{table} tbody tr > :nth-child({column})")
    return [float(cell.get_attribute("data-v") or "nan") for cell in cells.all()]


def _matrix(page: Page) -> dict[str, list[str]]:
    rows = page.locator("#matrix tbody tr").all()
    return {
        row.locator("th").inner_text(): [
            _above(text) for text in row.locator("td:visible").all_inner_texts()
        ]
        for row in rows
    }


def _cells(page: Page, scenario: str) -> list[Locator]:
    row = page.locator("#matrix tbody tr").filter(has=page.get_by_text(scenario, exact=True))
    return row.locator("td").all()


def _draw(page: Page, figure: str) -> None:
    host = page.locator(f"[data-figure={figure}]").first
    host.scroll_into_view_if_needed()
    host.locator(".bk-Canvas, canvas").first.wait_for()
    page.wait_for_timeout(300)


def test_the_page_opens_draws_every_figure_and_complains_of_nothing(open_page: OpenPage) -> None:
    page = open_page()
    for host in page.locator(".plot").all():
        host.scroll_into_view_if_needed()
        host.locator("canvas").first.wait_for()
    assert page.locator(".plot canvas").count() >= page.locator(".plot").count()


def test_a_name_with_markup_in_it_is_shown_as_text(open_page: OpenPage) -> None:
    page = open_page()
    assert "<script>alert(1)</script>" in page.locator("#matrix").inner_text()
    assert MARKUP in page.locator("#matrix thead").inner_text()
    assert page.locator("i").count() == 0


def test_a_click_on_a_heading_sorts_by_the_number_and_a_second_one_turns_it_round(
    open_page: OpenPage,
) -> None:
    page = open_page()
    heading = page.locator(f"{FIRST} thead th").nth(4)
    heading.locator("button").click()
    present = [value for value in _values(page, FIRST, 5) if not np.isnan(value)]
    assert present == sorted(present) and len(set(present)) > 2
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    present = [value for value in _values(page, FIRST, 5) if not np.isnan(value)]
    assert present == sorted(present, reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize("baseline", ["phase21", "fast"])
def test_another_baseline_gives_the_ratios_that_pandas_computes(
    open_page: OpenPage, rendered: Render, baseline: str
) -> None:
    run = rendered(write_run).run
    page = open_page()
    before = _matrix(page)
    page.select_option("#baseline", label=baseline)
    shown = _matrix(page)
    assert shown != before
    timed = run.processes[run.processes["probe"] == "throughput"]
    times = timed.pivot_table(
        index="round", columns=["scenario", "allocator"], values="time_per_op_ns"
    )
    for index, scenario in enumerate(run.scenarios):
        ratios = times[scenario].div(times[scenario][baseline], axis=0).median()
        table = f"#figures-of-{index}"
        exact = dict(zip(_column(page, table, 1), _values(page, table, 4), strict=True))
        assert exact == pytest.approx({name: ratios[name] for name in run.allocators}, rel=1e-12)
        for name, text in zip(run.allocators, shown[scenario], strict=True):
            assert text.removeprefix("~") in (format_ratio(ratios[name]), "crashed")


@pytest.mark.parametrize("baseline", ["libc", "mimalloc", "ariax"])
def test_ratios_of_mostly_replay_are_marked_as_python_marks_them_whatever_the_baseline(
    open_page: OpenPage, rendered: Render, baseline: str
) -> None:
    near = rendered(write_near).run
    page = open_page(path=rendered(write_near).report)
    page.select_option("#baseline", label=baseline)
    source, matrix = Source.of(near), _matrix(page)
    for index, scenario in enumerate(near.scenarios):
        found = {name: source.ratio(name, scenario, baseline) for name in near.allocators}
        marks = {name: bool(r and r.mostly_replay) for name, r in found.items()}
        assert [text.endswith("*") for text in matrix[scenario]] == list(marks.values())
        table = f"#figures-of-{index}"
        shown = dict(zip(_column(page, table, 1), _column(page, table, 4), strict=True))
        assert {name: text.endswith("*") for name, text in shown.items()} == marks
        legend = page.locator(f"section[data-scenario='{index}'] .of-replay")
        assert legend.is_visible() == any(marks.values())
        labels = [cell.get_attribute("aria-label") or "" for cell in _cells(page, scenario)]
        assert ["both are mostly replay" in label for label in labels] == list(marks.values())
    shares = near.cells.pivot(index="scenario", columns="allocator", values="replay_share")
    means = np.exp(np.log(shares).mean())
    mostly = [
        name != baseline and min(means[name], means[baseline]) >= MOSTLY_REPLAY
        for name in near.allocators
    ]
    assert [text.endswith("*") for text in matrix["geometric mean"]] == mostly


@pytest.mark.parametrize("write", [write_run, write_near])
@pytest.mark.parametrize("place", [0, 2])
def test_what_is_saved_stands_under_the_ratio_as_python_says_it_whatever_the_baseline(
    open_page: OpenPage, rendered: Render, write: Write, place: int
) -> None:
    run = rendered(write).run
    baseline = run.allocators[place]
    page = open_page(path=rendered(write).report)
    page.select_option("#baseline", label=baseline)
    source = Source.of(run)
    for index, scenario in enumerate(run.scenarios):
        found = {name: source.ratio(name, scenario, baseline) for name in run.allocators}
        rows = page.locator(f"#figures-of-{index} tbody tr")
        names = _column(page, f"#figures-of-{index}", 1)
        for name, row in zip(names, rows.all(), strict=True):
            for column, below in (("ratio", saved_below), ("interval", bounds_below)):
                shown = row.locator(f"td.{column} .below").all_inner_texts()
                assert shown == [text for text in [below(found[name])] if text]
        for name, cell in zip(run.allocators, _cells(page, scenario), strict=True):
            if cell.get_attribute("class") != "failed":
                shown = cell.locator(".below").all_inner_texts()
                assert shown == [text for text in [saved_below(found[name])] if text]
                label = cell.get_attribute("aria-label") or ""
                assert all(f"; {text} an operation" in label for text in shown)
                assert ("an operation" in label) == bool(shown)
    mean = page.locator("#matrix tr.mean .below")
    assert mean.count() == 0


def test_the_page_has_the_threshold_of_python(open_page: OpenPage, rendered: Render) -> None:
    page = open_page(path=rendered(write_near).report)
    data = page.evaluate("JSON.parse(document.querySelector('#data').textContent)")
    assert data["mostly_replay"] == MOSTLY_REPLAY
    caption = page.locator("#ratios .view:visible .caption").inner_text()
    assert f"({MOSTLY_REPLAY:.0%} and more)" in caption


def test_each_row_says_how_much_of_its_time_is_the_replay(
    open_page: OpenPage, rendered: Render
) -> None:
    page = open_page(path=rendered(write_near).report)
    shares = dict(zip(_column(page, FIRST, 1), _column(page, FIRST, 3), strict=True))
    assert shares == {"libc": "75%", "mimalloc": "86%", "jemalloc": "100%", "ariax": "65%"}
    assert "0.75" in [f"{value:.4g}" for value in _values(page, FIRST, 3)]


def test_the_tables_follow_the_baseline(open_page: OpenPage) -> None:
    page = open_page("#&baseline=phase21")
    rows = dict(zip(_column(page, FIRST, 1), _column(page, FIRST, 4), strict=True))
    assert rows["phase21"] == "1.00x"
    assert rows["libc"] == "0.33x"


def test_an_undecided_ratio_looks_undecided_and_a_failed_cell_says_its_status(
    open_page: OpenPage,
) -> None:
    page = open_page()
    undecided = page.locator("#matrix td.undecided").first
    assert undecided.inner_text().startswith("~")
    assert page.locator("#matrix td.failed").all_inner_texts() == ["crashed"]
    assert "SIGSEGV: <b>free</b>()" in page.locator("#verdict .failure").inner_text()


def test_an_allocator_that_is_unticked_leaves_matrix_tables_and_timelines(
    open_page: OpenPage,
) -> None:
    page = open_page()
    _draw(page, "timeline")
    panels = page.locator("[data-figure=timeline] .panel:visible")
    before = panels.count()
    page.get_by_label("phase2", exact=True).uncheck()
    assert "phase2" not in _column(page, FIRST, 1)
    assert page.locator("#matrix thead th:visible").count() == 5
    assert panels.count() < before
    assert "hide=phase2" in page.url


def test_pointing_at_a_call_says_what_it_was_and_why_it_took_so_long(open_page: OpenPage) -> None:
    page = open_page("#scenario-keep")
    _draw(page, "timeline")
    panel = page.locator("[data-figure=timeline] .panel").filter(has_text="phase2").first
    box = panel.locator("canvas").first.bounding_box()
    assert box is not None
    found = ""
    for share in np.linspace(0.2, 0.9, 60):  # phase2's calls lie in a band: look for its height
        page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + share * box["height"])
        page.wait_for_timeout(30)
        tips = page.locator(".bk-Tooltip").get_by_text("operation")
        if tips.count():
            found = tips.first.inner_text()
            break
    assert re.fullmatch(r"operation \d+: malloc of \d+ B, 2\.\d+ µs, mmap", found)


def test_the_slowest_calls_are_listed_with_their_cause_and_can_be_filtered(
    open_page: OpenPage,
) -> None:
    page = open_page()
    table = page.locator(".slowest").first
    table.scroll_into_view_if_needed()
    rows = table.locator("tbody tr:visible")
    rows.first.wait_for()
    everything = rows.count()
    first = rows.first.inner_text()
    assert "phase2" in first and "system call" in first
    table.get_by_label("Filter calls").fill("munmap")
    assert 0 < rows.count() < everything
    assert all("munmap" in text for text in rows.all_inner_texts())


def test_the_address_brings_back_what_was_chosen(open_page: OpenPage) -> None:
    page = open_page()
    page.select_option("#baseline", label="phase2")
    page.get_by_label("fast", exact=True).uncheck()
    page.locator("#filter").fill("keep")
    page.locator("#theme").click()
    page.locator(f"{FIRST} thead th button").nth(10).click()
    again = open_page(page.url[page.url.index("#") :])
    assert again.locator("#baseline option:checked").inner_text() == "phase2"
    assert not again.get_by_label("fast", exact=True).is_checked()
    assert again.locator("#matrix tbody tr[data-scenario]:visible").count() == 1
    assert again.locator("html").get_attribute("data-theme") == "dark"
    assert _column(again, FIRST, 1) == _column(page, FIRST, 1)


@pytest.mark.parametrize(
    "fragment", ["#&baseline=nobody", "#nowhere", "#&sort.figures-of-0=99", "#&hide=%ZZ,", "#&&=&"]
)
def test_an_address_that_makes_no_sense_is_as_none(open_page: OpenPage, fragment: str) -> None:
    page = open_page(fragment)
    assert page.locator("#baseline option:checked").inner_text() == "libc"


def test_a_link_to_a_section_keeps_the_rest_of_the_state(open_page: OpenPage) -> None:
    page = open_page("#&baseline=fast")
    page.locator("#matrix tbody th a").first.click()
    assert page.url.endswith("#scenario-keep&baseline=fast")
    assert page.evaluate("document.activeElement.id") == "scenario-keep"
    page.go_back()
    assert page.locator("#baseline option:checked").inner_text() == "fast"


def test_arrow_keys_walk_the_matrix_and_show_each_cell_s_interval(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#matrix td").first.focus()
    page.keyboard.press("ArrowRight")
    tip = page.locator("#tip")
    assert tip.is_visible()
    assert "phase2 on keep: 100x the time of libc, interval" in tip.inner_text()
    page.keyboard.press("ArrowDown")
    assert "on <script>alert(1)</script>" in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_buttons_zoom_all_panels_of_a_timeline_and_bring_them_back(open_page: OpenPage) -> None:
    page = open_page()
    _draw(page, "timeline")
    host = page.locator("[data-figure=timeline]").first
    before = host.locator(".panels").screenshot()
    host.get_by_role("button", name="Zoom in").click()
    page.wait_for_timeout(300)
    assert host.locator(".panels").screenshot() != before
    host.get_by_role("button", name="Reset").click()
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    assert host.locator(".panels").screenshot() == before


@pytest.mark.parametrize("width", [1400, 900, 420])
def test_nothing_is_wider_than_the_window(open_page: OpenPage, width: int) -> None:
    page = open_page(width=width)
    for host in page.locator(".plot, .slowest").all():
        host.scroll_into_view_if_needed()
        page.wait_for_timeout(150)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_print_has_every_figure_on_a_light_page_without_the_controls(open_page: OpenPage) -> None:
    page = open_page(dark=True)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    page.locator(".plot canvas").last.wait_for(state="attached")
    assert page.locator("html").get_attribute("data-theme") == "light"
    assert page.locator(".plot:not(.ready)").count() == 0
    assert not page.locator("#controls").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("html").get_attribute("data-theme") == "dark"
