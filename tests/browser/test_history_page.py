"""The page of a history in a browser: keys, choices that the address keeps, and the audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase.history import changes_of, open_history
from allocphase.report.page.history import page as rendered_page
from tests.browser.conftest import OpenPage
from tests.browser.test_report_access import AUDIT
from tests.support.histories import run_of, value


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    with open_history(folder / "h.db", make=True) as history:
        for number in range(20):
            slower = 8.0 if number >= 12 else 7.0
            counts = {"exact": True, "lower": None, "upper": None}
            values = [value(7.0, allocator="libc", **counts), value(slower, **counts)]
            history.add(run_of(number, values))
        found = [history.load(entry) for entry in history.series()]
        text = rendered_page(found, changes_of(history, found), folder=folder)
    target = folder / "history.html"
    target.write_text(text, encoding="utf-8")
    return target


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("wide", [1280, 390])
def test_the_audit_finds_no_fault(open_page: OpenPage, path: Path, wide: int, dark: bool) -> None:
    page = open_page(path=path, width=wide, dark=dark, folded=True)
    assert page.evaluate(AUDIT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= wide


def test_keys_walk_along_the_points(open_page: OpenPage, path: Path) -> None:
    page = open_page(path=path, folded=True)
    page.locator("article svg >> nth=0").focus()
    detail = page.locator("article .detail >> nth=0")
    for key, said in (("ArrowLeft", "Change 19"), ("ArrowLeft", "Change 18")):
        page.keyboard.press(key)
        text = detail.text_content() or ""
        assert said in text and text.startswith("8.00 ns (exact)")
    page.keyboard.press("Escape")
    assert (detail.text_content() or "").startswith("last: ")


def test_a_choice_hides_the_others_and_stands_in_the_address(
    open_page: OpenPage, path: Path
) -> None:
    page = open_page(path=path, folded=True)
    page.select_option("select[data-choice=allocator]", "libc")
    assert page.locator("article:visible").count() == 1
    assert page.evaluate("location.hash") == "#show?allocator=libc"
    again = open_page("#show?allocator=mine", path=path, folded=True)
    assert again.locator("article:visible").get_attribute("data-allocator") == "mine"
