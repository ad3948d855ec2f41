"""Accessibility of the report: an audit of our own (audit.js) in both colour schemes."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage, Render
from tests.golden.synthetic import write_programs, write_run, write_swept
from tests.support.counted import write_counted
from tests.support.scaling import write_scaled

FOCUSED = "(({ id, name, className }) => id || name || className)(document.activeElement)"
AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8")


def _faults(page: Page) -> list[str]:
    found: list[str] = page.evaluate(AUDIT)
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
@pytest.mark.parametrize("which", ["golden", "swept", "scaled", "pair", "programs", "counted"])
def test_the_audit_finds_no_fault(
    open_page: OpenPage, rendered: Render, pair_report: Path, which: str, width: int, dark: bool
) -> None:
    writers = {
        "golden": write_run,
        "swept": write_swept,
        "scaled": write_scaled,
        "programs": write_programs,
        "counted": write_counted,
    }
    path = pair_report if which == "pair" else rendered(writers[which]).report
    page = open_page(width=width, dark=dark, path=path)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for host in page.locator(".plot, .slowest").all():
        host.scroll_into_view_if_needed()
        page.wait_for_timeout(150)
    assert _faults(page) == []


@pytest.mark.parametrize(
    "damage",
    [
        "document.querySelector('#filter').parentElement.before(document.querySelector('#filter'))",
        "document.querySelector('h2').outerHTML = '<h4>Verdict</h4>'",
        "document.querySelector('#matrix th').removeAttribute('scope')",
        "document.querySelector('#verdict li').style.color = '#bbbbbb'",
        "document.querySelector('.sort').textContent = ''",
        "document.querySelector('#ratios').id = 'verdict'",
        "document.querySelector('#matrix a').tabIndex = 3",
    ],
    ids=["label", "heading", "scope", "contrast", "name", "id", "tabindex"],
)
def test_the_audit_finds_what_is_broken_on_purpose(open_page: OpenPage, damage: str) -> None:
    page = open_page()
    page.evaluate(damage)
    assert _faults(page) != []


def test_everything_that_acts_is_reached_by_the_tabulator(open_page: OpenPage) -> None:
    page = open_page()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(FOCUSED))
    assert {"baseline", "arm", "theme", "print", "view", "filter", "unfold", "sort"} <= reached
