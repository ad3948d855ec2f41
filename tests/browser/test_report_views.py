"""The matrix's views, the folded parts and a program's part, as a reader, a printer and a browser
without scripts have them.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page

from allocphase.report.content.matrix import MatrixCell, matrix_row, mean_row
from allocphase.report.content.source import Source
from allocphase.report.content.views import VIEWS, View, views_of
from allocphase.report.page.parts.program import change_part
from tests.browser.conftest import OpenPage, Render, Write
from tests.golden.synthetic import write_near, write_programs, write_run, write_wide

PRINT = "dispatchEvent(new Event('beforeprint'))"
PRINTED = "dispatchEvent(new Event('afterprint'))"


def _shown(page: Page) -> list[str]:
    """The views that can be seen."""
    parts = page.locator(".view:visible").all()
    return [part.get_attribute("data-view") or "" for part in parts]


def _cells(rows: Locator) -> list[list[MatrixCell]]:
    """Text, class and what stands below, hidden or not."""
    found: list[list[list[str]]] = rows.evaluate_all(
        """rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => {
             const below = cell.querySelector('.below')?.textContent ?? '';
             const text = cell.textContent.slice(0, cell.textContent.length - below.length);
             return [text, cell.className, below];
           }))"""
    )
    return [[MatrixCell(*cell) for cell in row] for row in found]


# ---- One switch ---------------------------------------------------------------------------


def test_the_matrix_shows_one_view_and_the_switch_another_which_the_address_keeps(
    open_page: OpenPage, rendered: Render
) -> None:
    report = rendered(write_programs).report
    page = open_page(path=report, folded=True)
    assert _shown(page) == ["time"]
    page.get_by_label("peak RSS", exact=True).check()
    assert _shown(page) == ["peak_rss"]
    assert "view=peak_rss" in page.url
    again = open_page(page.url[page.url.index("#") :], path=report, folded=True)
    assert _shown(again) == ["peak_rss"]
    assert again.get_by_label("peak RSS", exact=True).is_checked()
    again.get_by_label("time", exact=True).check()
    assert "view=" not in again.url


@pytest.mark.parametrize("fragment", ["#&view=nothing", "#&view=", "#&view=%ZZ"])
def test_a_view_that_there_is_not_is_as_none(open_page: OpenPage, fragment: str) -> None:
    assert _shown(open_page(fragment)) == ["time"]


@pytest.mark.parametrize("write", [write_run, write_near, write_programs])
@pytest.mark.parametrize("place", [0, 1])
def test_every_view_says_what_python_says_whatever_the_baseline(
    open_page: OpenPage, rendered: Render, write: Write, place: int
) -> None:
    source = Source.of(rendered(write).run)
    source.baseline = source.names[place]
    page = open_page(path=rendered(write).report)
    page.select_option("#baseline", label=source.baseline)
    offered: list[View] = views_of(source)
    assert {view.name for view in offered} >= {"time", "saved", "peak_rss", "faults", "syscalls"}
    for view in offered:
        table = page.locator(f"table.matrix[data-view={view.name}]")
        rows = _cells(table.locator("tbody tr[data-scenario]"))
        assert rows == [matrix_row(source, scenario, view) for scenario in source.scenarios]
        means = _cells(table.locator("tr.mean"))
        assert means == [row for row in [mean_row(source, view)] if row]
        labels = table.locator("td").evaluate_all("cs => cs.map(c => c.getAttribute('aria-label'))")
        assert all(labels)


def test_a_view_that_nobody_was_measured_for_is_not_offered(open_page: OpenPage) -> None:
    page = open_page()
    offered = page.locator(".switch input[name=view]").all()
    assert [box.get_attribute("value") for box in offered] == [
        view.name for view in VIEWS if view.name not in ("instructions", "p99_9")
    ]


def test_a_mean_over_some_scenarios_says_over_how_many(
    open_page: OpenPage, rendered: Render
) -> None:
    page = open_page("#&view=peak_rss", path=rendered(write_programs).report)
    heads = {
        view: page.locator(f"table.matrix[data-view={view}] tr.mean th").all_text_contents()
        for view in ("time", "peak_rss", "saved", "syscalls")
    }
    assert heads["time"] == heads["peak_rss"] == ["geometric mean"]
    assert heads["saved"] == heads["syscalls"] == []


@pytest.mark.parametrize("width", [1280, 1920])
def test_no_column_of_eleven_allocators_is_cut(
    open_page: OpenPage, rendered: Render, width: int
) -> None:
    page = open_page(path=rendered(write_wide).report, width=width, folded=True)
    for box in page.locator(".switch input[name=view]").all():
        box.check()
        region = page.locator(".view:visible .wide")
        assert region.locator("thead th").count() == 12
        cut = region.evaluate("region => region.scrollWidth > region.clientWidth")
        assert not cut, box.get_attribute("value")


# ---- Folded -------------------------------------------------------------------------------


def test_eleven_allocators_on_ten_scenarios_are_read_in_three_screens(
    open_page: OpenPage, rendered: Render
) -> None:
    page = open_page(path=rendered(write_wide).report, width=1280, folded=True)
    assert page.evaluate("document.documentElement.scrollHeight") <= 3 * 1000
    assert page.locator(".scenario table:visible").count() == 0


def test_a_folded_scenario_tells_best_worst_and_what_is_wrong(open_page: OpenPage) -> None:
    page = open_page(folded=True)
    line = page.locator("#scenario-keep summary .line").first
    assert line.inner_text().split("\n") == [
        "best fast 10.0 ns",
        "worst phase2 2.00 µs",
        "1 crashed",
        "1 doubt",
    ]
    page.locator("#scenario-keep summary").first.click()
    assert page.locator("#figures-of-0").is_visible()
    assert not page.locator("#figures-of-1").is_visible()


@pytest.mark.parametrize("section", ["scenario-keep", "figures-of-0", "environment", "method"])
def test_an_address_into_what_is_folded_opens_it(open_page: OpenPage, section: str) -> None:
    page = open_page(f"#{section}", folded=True)
    inside = "#figures-of-0" if section == "scenario-keep" else f"#{section} :is(li, td)"
    assert page.locator(inside).first.is_visible()
    assert page.evaluate("document.activeElement.id") == section


def test_a_link_of_the_matrix_opens_its_scenario_and_no_other(open_page: OpenPage) -> None:
    page = open_page(folded=True)
    page.locator("#matrix tbody th a").first.click()
    assert page.locator("#figures-of-0").is_visible()
    assert page.locator("section.scenario details.fold[open]").count() == 1


def test_one_button_opens_and_folds_all(open_page: OpenPage) -> None:
    page = open_page(folded=True)
    button = page.locator("#unfold")
    button.click()
    assert page.locator("section.scenario details.fold[open]").count() == 2
    assert button.inner_text() == "Fold all scenarios"
    button.click()
    assert page.locator("section.scenario details.fold[open]").count() == 0
    assert button.inner_text() == "Open all scenarios"


# ---- On paper, and without a script -------------------------------------------------------


def test_on_paper_all_views_and_all_parts_are_there_and_folded_again_after_it(
    open_page: OpenPage, rendered: Render
) -> None:
    page = open_page("#&view=faults", path=rendered(write_programs).report, folded=True)
    page.evaluate(PRINT)
    page.emulate_media(media="print")
    assert len(_shown(page)) == page.locator(".view").count() > 3
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("#changes-of-1").is_visible()
    assert not page.locator(".switch").is_visible()
    page.locator(".plot canvas").last.wait_for(state="attached")
    page.evaluate(PRINTED)
    page.emulate_media(media="screen")
    assert page.locator("details[open]").count() == 0
    assert _shown(page) == ["faults"]


def test_without_a_script_all_tables_are_there_and_nothing_that_needs_one(
    open_page: OpenPage, rendered: Render
) -> None:
    page = open_page(path=rendered(write_programs).report, script=False)
    assert len(_shown(page)) == page.locator(".view").count() > 3
    assert page.locator("#figures-of-0").is_visible()
    assert page.locator("#changes-of-1").is_visible()
    for gone in ("#controls", ".switch", "#unfold", ".plot", ".slowest"):
        assert page.locator(f"{gone}:visible").count() == 0
    assert "figures/" in page.locator("noscript").inner_text()


# ---- Programs -----------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1])
def test_what_an_allocator_changed_in_a_program_follows_the_baseline(
    open_page: OpenPage, rendered: Render, place: int
) -> None:
    source = Source.of(rendered(write_programs).run)
    source.baseline = source.names[place]
    page = open_page(path=rendered(write_programs).report)
    page.select_option("#baseline", label=source.baseline)
    for index, scenario in enumerate(source.scenarios):
        if scenario not in source.programs:
            continue
        part = change_part(source, scenario)
        assert part is not None
        table = page.locator(f"#changes-of-{index}")
        shown = table.locator("tbody tr").evaluate_all(
            """rows => rows.map(row => [...row.querySelectorAll('td')].map(cell =>
                 [cell.className, ...Array.from(cell.children, one => one.textContent)]))"""
        )
        assert shown == [
            [[c["look"], c["text"], c["interval"], c["figure"]] for c in row["cells"]]
            for row in part["rows"]
        ]


def test_a_program_has_a_line_an_allocator_of_what_was_resident(
    open_page: OpenPage, rendered: Render
) -> None:
    page = open_page("#scenario-program-words", path=rendered(write_programs).report, folded=True)
    host = page.locator("[data-figure=resident]").first
    host.locator("canvas").first.wait_for()
    lines = page.evaluate(
        """() => Bokeh.documents.at(-1).roots()[0].renderers
             .filter(r => r.glyph.type === 'Line')
             .map(r => Math.max(...r.data_source.data.y) / 2 ** 20)"""
    )
    assert [round(line) for line in lines] == [8, 12, 8, 64, 8]
    page.get_by_label("phase2", exact=True).uncheck()
    hidden = page.evaluate(
        "Bokeh.documents.at(-1).roots()[0].renderers.filter(r => !r.visible).length"
    )
    assert hidden == 1
