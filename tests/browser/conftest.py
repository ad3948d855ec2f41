"""A headless Chromium of the system, and the golden run's report open in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright

from allocphase.analysis import frames
from allocphase.report.render import render, render_pair
from tests.golden.synthetic import TIMES_NS, write_near, write_run, write_swept

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


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> frames.Run:
    return frames.load(write_run(tmp_path_factory.mktemp("browser") / "run"))


@pytest.fixture(scope="session")
def report(run: frames.Run) -> Path:
    return render(run)


@pytest.fixture(scope="session")
def near(tmp_path_factory: pytest.TempPathFactory) -> frames.Run:
    """Allocators near the floor."""
    return frames.load(write_near(tmp_path_factory.mktemp("browser") / "near"))


@pytest.fixture(scope="session")
def near_report(near: frames.Run) -> Path:
    return render(near)


@pytest.fixture(scope="session")
def swept_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With growth, threads and claims."""
    return render(frames.load(write_swept(tmp_path_factory.mktemp("browser") / "swept")))


@pytest.fixture(scope="session")
def pair_report(run: frames.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run beside one that is half as fast."""
    slower = {name: 2 * time_ns for name, time_ns in TIMES_NS.items()}
    folder = tmp_path_factory.mktemp("browser") / "slower"
    return render_pair(run, frames.load(write_run(folder, times_ns=slower, label="slower")))


@pytest.fixture
def complaints() -> list[str]:
    """What the page complained of, and what it asked of any host: to be empty at the end."""
    return []


@pytest.fixture
def open_page(browser: Browser, report: Path, complaints: list[str]) -> Iterator[OpenPage]:
    """open_page(fragment, width=..., dark=..., path=...); fails on any complaint of a page."""
    opened: list[Page] = []

    def open_one(
        fragment: str = "", *, width: int = 1400, dark: bool = False, path: Path = report
    ) -> Page:
        page = browser.new_page(
            viewport={"width": width, "height": 1000},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        opened.append(page)
        _listen(page, complaints)
        page.goto(f"{path.as_uri()}{fragment}")
        page.wait_for_selector("html[data-ready]")
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
