"""A headless Chromium of the system, and the golden run's report open in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from allocphase import frames
from allocphase.report import render
from tests.golden.synthetic import write_run

NAMES = ("chromium", "chromium-browser", "google-chrome")
# No sandbox: tests also run as root in containers. The rest keeps it from the network.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser(needs: Callable[..., None]) -> Iterator[Browser]:
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    needs(path, "chromium", install="apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> frames.Run:
    return frames.load(write_run(tmp_path_factory.mktemp("browser") / "run"))


@pytest.fixture(scope="session")
def report(run: frames.Run) -> Path:
    return render(run)


@pytest.fixture
def complaints() -> list[str]:
    """What the page complained of, and what it asked of any host: to be empty at the end."""
    return []


@pytest.fixture
def open_page(browser: Browser, report: Path, complaints: list[str]) -> Iterator[OpenPage]:
    """Opens the report: open_page(fragment, width=..., dark=...). Fails on any complaint."""
    opened: list[Page] = []

    def open_one(fragment: str = "", *, width: int = 1400, dark: bool = False) -> Page:
        scheme = "dark" if dark else "light"
        page = browser.new_page(
            viewport={"width": width, "height": 1000}, color_scheme=scheme, reduced_motion="reduce"
        )
        opened.append(page)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
        page.on("request", lambda r: _foreign(r.url) and complaints.append(r.url))
        page.goto(f"{report.as_uri()}{fragment}")
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_one
    for page in opened:
        page.close()
    assert complaints == []


def _foreign(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))
