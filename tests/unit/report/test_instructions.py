"""Instructions in a report: beside the time, by function, and where they and it do not agree."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from allocphase.analysis.frames import load
from allocphase.report.content.instructions import MOST_FUNCTIONS, discrepancies, functions
from allocphase.report.content.matrix import matrix_row
from allocphase.report.content.source import Source
from allocphase.report.content.views import VIEWS, views_of
from allocphase.report.page.page import page
from allocphase.report.text.markdown import markdown
from allocphase.report.text.terminal import print_summary
from tests.support.counted import write_counted
from tests.support.gates import small_scenario

SCENARIO = small_scenario().name
(VIEW,) = (view for view in VIEWS if view.name == "instructions")


def measured(folder: Path, *, counted: bool = True) -> Source:
    return Source.of(load(write_counted(folder / "run", counted=counted)))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return measured(tmp_path_factory.mktemp("instructions"))


def test_the_matrix_shows_them_beside_the_time(source: Source) -> None:
    assert [view.name for view in views_of(source)][:3] == ["time", "saved", "instructions"]
    cells = dict(zip(source.names, matrix_row(source, SCENARIO, VIEW), strict=True))
    assert (cells["lean"].text, cells["lean"].below) == ("0.33x", "30.00")
    assert cells["lean"].look == "faster-3"
    assert cells["faulty"].text == "1.00x"


def test_where_nobody_counted_them_nothing_is_shown(tmp_path: Path) -> None:
    source = measured(tmp_path, counted=False)
    assert VIEW not in views_of(source)
    assert "nstructions beside" not in page(source)
    assert discrepancies(source, SCENARIO) == []
    assert functions(source, "libc", SCENARIO) == []


def test_the_ten_costliest_functions_have_their_lines_or_their_object(source: Source) -> None:
    found = functions(source, "libc", SCENARIO)
    assert len(found) == MOST_FUNCTIONS
    assert (found[0].name, found[0].place) == ("mine_malloc", "mine.c:7")
    assert found[0].per_op == pytest.approx(40.5)
    assert found[0].share == pytest.approx(0.45)
    assert (found[3].name, found[3].place) == ("0x2", "mine.so")


def test_what_time_and_instructions_do_not_tell_alike_is_said_with_what_moved(
    source: Source,
) -> None:
    lean, faulty = sorted(discrepancies(source, SCENARIO), reverse=True)
    assert lean.startswith("lean takes 0.333x of the instructions of libc, and its time does not")
    assert faulty.startswith("faulty takes 1.200x of the time of libc")
    assert "What else is more: page faults in operation, 5 to 50" in faulty


def test_page_markdown_and_terminal_tell_the_same(source: Source) -> None:
    html, text = page(source), markdown(source)
    stream = io.StringIO()
    print_summary(source.run, stream)
    shown = " ".join(stream.getvalue().split())
    for part in (html, text, shown):
        assert "page faults in operation, 5 to 50" in " ".join(part.split())
    assert "Instructions beside time" in html and "mine.c:7" in html
    assert "| lean | 30.00 | 0.33x | 30 | mine\\_malloc 45%" in text
    assert "instructions an op ratio a malloc" in shown
