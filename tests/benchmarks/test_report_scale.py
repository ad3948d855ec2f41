"""A large run's report: how long to render, how large, how high, how long until it can be used."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import sync_playwright
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase.analysis import frames
from allocphase.report.render import render
from tests.benchmarks.conftest import Say
from tests.browser.conftest import FLAGS, chromium
from tests.golden.synthetic import write_large

MOST_BYTES = 10_000_000
WIDTH, WINDOW_HEIGHT = 1_280, 900


def test_a_large_run_is_rendered_into_a_page_of_bounded_size(
    benchmark: BenchmarkFixture,
    needs: Callable[..., None],
    full: bool,
    say: Say,
    tmp_path: Path,
) -> None:
    scenarios, operations = (20, 12_500) if full else (2, 250)
    folder = write_large(tmp_path / "run", scenarios=scenarios, operations=operations)

    def render_once() -> Path:
        return render(frames.load(folder))

    start = time.perf_counter()
    path = benchmark.pedantic(render_once, rounds=1, iterations=1)
    rendered_s = time.perf_counter() - start
    # In a thread of its own: the tests of the browser may have their own Playwright in this one.
    with ThreadPoolExecutor(max_workers=1) as pool:
        usable_s, height = pool.submit(_opened, chromium(needs), path).result()
    samples = 8 * scenarios * 5 * operations
    say(
        f"8 allocators x {scenarios} scenarios, {samples:,} latencies: rendered in "
        f"{rendered_s:.1f} s, {path.stat().st_size / 1e6:.1f} MB, usable in {usable_s:.2f} s, "
        f"{height:,} pixels high at {WIDTH:,}: {height / WINDOW_HEIGHT:.1f} screens"
    )
    assert path.stat().st_size < MOST_BYTES


def _opened(program: str, path: Path) -> tuple[float, int]:
    """Seconds until the page is ready and has answered to another baseline; its height in pixels
    as it opens.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport={"width": WIDTH, "height": WINDOW_HEIGHT})
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        height: int = page.evaluate("document.documentElement.scrollHeight")
        page.select_option("#baseline", "1")
        usable_s = time.perf_counter() - start
        browser.close()
    return usable_s, height
