"""The page of a profile in a browser: keys, zoom, search, both themes, and without a script."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from allocphase.profile.page import page as rendered_page
from allocphase.profile.profiling import Profiled
from tests.browser.conftest import OpenPage
from tests.browser.test_report_access import AUDIT
from tests.support.gates import small_scenario
from tests.support.profiles import PROFILES

FOCUSED = "document.activeElement.getAttribute('aria-label')"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("profile") / "profile.html"
    found = Profiled(small_scenario(), PROFILES)
    target.write_text(rendered_page(found, command=["allocphase", "profile"]), encoding="utf-8")
    return target


def width(page: Page, name: str) -> float:
    box = page.locator(f".flame >> nth=0 >> li[aria-label^='{name}:'] >> nth=0").bounding_box()
    return 0.0 if box is None else box["width"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("wide", [1280, 390])
def test_the_audit_finds_no_fault(open_page: OpenPage, path: Path, wide: int, dark: bool) -> None:
    page = open_page(path=path, width=wide, dark=dark, folded=True)
    assert page.evaluate(AUDIT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= wide


def test_keys_walk_the_graph_widen_a_frame_and_go_back(open_page: OpenPage, path: Path) -> None:
    page = open_page(path=path, folded=True)
    full = page.locator(".flame >> nth=0").bounding_box()
    assert full is not None
    page.locator(".flame >> nth=0 >> li >> nth=0").focus()
    for key, name in (("ArrowRight", "free"), ("ArrowLeft", "malloc"), ("ArrowDown", "slow")):
        page.keyboard.press(key)
        assert page.evaluate(FOCUSED).startswith(f"{name}: ")
    assert page.locator(".detail >> nth=0").text_content() == page.evaluate(FOCUSED)
    before = width(page, "slow")
    page.keyboard.press("Enter")
    assert width(page, "slow") == pytest.approx(full["width"], abs=1)
    assert width(page, "malloc") == pytest.approx(full["width"], abs=1)
    page.keyboard.press("Escape")
    assert width(page, "slow") == pytest.approx(before, abs=1)


def test_a_search_marks_what_it_finds(open_page: OpenPage, path: Path) -> None:
    page = open_page(path=path, folded=True)
    page.locator("#search").fill("slow")
    assert page.locator("#matches").text_content() == "4 of 12 frames"
    assert page.locator(".frame.hit").count() == 4


def test_without_a_script_the_graph_and_its_figures_are_there(
    open_page: OpenPage, path: Path
) -> None:
    page = open_page(path=path, script=False, folded=True)
    assert width(page, "malloc") > width(page, "free") > 0
    assert not page.locator("#controls").is_visible()
    assert page.locator(".frame[title^='malloc: 60%']").count() == 2
    page.emulate_media(media="print")
    assert width(page, "malloc") > 0
