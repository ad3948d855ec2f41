"""A headless Chromium of the system, and the golden run's report open in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright

from allocphase.analysis import frames
from allocphase.report.render import render, render_pair
from tests.golden.synthetic import TIMES_NS, write_run

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
Write = Callable[[Path], Path]
Render = Callable[[Write], "Rendered"]


@pytest.fixture(scope="session")
def browser(needs: Callable[..., None]) -> Iterator[Browser]:
    path = chromium(needs)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


def chromium(needs: Callable[..., None]) -> str:
    """The path of the system's Chromium; skips where there is none."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    needs(path, "chromium", install="apt-get install chromium")
    return str(path)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A run, and its report.html."""

    run: frames.Run
    report: Path


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """rendered(write_near): the run that a function of synthetic.py writes, once a session."""

    @cache
    def make(write: Write) -> Rendered:
        run = frames.load(write(tmp_path_factory.mktemp("browser") / "run"))
        return Rendered(run, render(run))

    return make


@pytest.fixture(scope="session")
def pair_report(rendered: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden run beside one that is half as fast."""
    slower = {name: 2 * time_ns for name, time_ns in TIMES_NS.items()}
    folder = tmp_path_factory.mktemp("browser") / "slower"
    other = frames.load(write_run(folder, times_ns=slower, label="slower"))
    return render_pair(rendered(write_run).run, other)


@pytest.fixture
def complaints() -> list[str]:
    """What the page complained of, and what it asked of any host: to be empty at the end."""
    return []


@pytest.fixture
def open_page(browser: Browser, rendered: Render, complaints: list[str]) -> Iterator[OpenPage]:
    """open_page(fragment, width=..., dark=..., path=...); fails on any complaint of a page.

    folded: as a reader finds it; otherwise all scenarios are opened by the page's button.
    """
    opened: list[Page] = []
    golden = rendered(write_run).report

    def open_one(
        fragment: str = "",
        *,
        width: int = 1400,
        dark: bool = False,
        path: Path = golden,
        folded: bool = False,
        script: bool = True,
    ) -> Page:
        page = browser.new_page(
            viewport={"width": width, "height": 1000},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            java_script_enabled=script,
        )
        opened.append(page)
        _listen(page, complaints)
        page.goto(f"{path.as_uri()}{fragment}")
        if script:
            page.wait_for_selector("html[data-ready]")
        if script and not folded:
            # By script, which leaves the focus where it was.
            page.locator("#unfold").evaluate("button => button.click()")
        return page

    yield open_one
    for page in opened:
        page.close()
    assert complaints == []


def _listen(page: Page, complaints: list[str]) -> None:
    def on_error(error: Error) -> None:
        complaints.append(str(error))

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def on_request(request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            complaints.append(request.url)

    page.on("pageerror", on_error)
    page.on("console", on_console)
    page.on("request", on_request)
