"""Rendered output against files that a person has looked at."""

from __future__ import annotations

import functools
import html
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase.analysis.frames import Run
from allocphase.report.content.source import Source
from allocphase.report.page.page import page
from allocphase.report.render import render
from allocphase.report.text.brief import print_brief
from allocphase.report.text.markdown import markdown
from allocphase.report.text.terminal import print_summary
from allocphase.text.console import WIDTH
from tests.support.screens import shown_at

Golden = Callable[[str, str], None]


@pytest.fixture(scope="module")
def report(run: Run) -> Path:
    return render(run)


def test_the_terminal_summary_is_as_before(run: Run, golden: Golden) -> None:
    stream = io.StringIO()
    print_summary(run, stream)
    golden("summary.txt", stream.getvalue())


def test_the_summary_in_short_is_as_before(run: Run, golden: Golden) -> None:
    stream = io.StringIO()
    print_brief(run, stream)
    golden("brief.txt", stream.getvalue())


def test_the_summary_in_short_keeps_within_its_width_and_its_columns(run: Run) -> None:
    """A heading stands at the same place in all scenarios of a kind."""
    stream = io.StringIO()
    print_brief(run, stream)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= WIDTH
    heads = [line for line in lines if re.search(r"\bratio\b.*\bsaved\b", line) and ":" not in line]
    assert len(heads) > len(set(heads)) >= 1


def test_the_summary_of_allocators_near_the_floor_is_as_before(near: Run, golden: Golden) -> None:
    stream = io.StringIO()
    print_summary(near, stream)
    golden("near.txt", stream.getvalue())


def test_the_markdown_of_allocators_near_the_floor_is_as_before(near: Run, golden: Golden) -> None:
    golden("near.md", markdown(Source.of(near)))


def test_the_page_is_marked_before_its_script_runs(near: Run) -> None:
    text = html.unescape(_without_bulk(page(Source.of(near))))
    first, second = text.split('class="scenario"')[1:]
    assert (
        text.split('id="matrix"')[1].count('x*<span class="below">saves') == 4
    )  # and in the table
    assert '<p class="caption of-replay">* both are mostly replay (70% and more)' in first
    assert '<p class="caption of-replay" hidden>' in second


def test_the_page_tells_operations_that_are_no_calls(near: Run) -> None:
    text = html.unescape(_without_bulk(page(Source.of(near))))
    assert "400 operations, 60 of them writes and 40 of them foreign frees, peak live" in text
    assert "240 operations, peak live" in text
    assert "<b>libc, mimalloc, jemalloc:</b> 40 frees from a foreign domain were skipped" in text


def test_the_terminal_summary_keeps_within_its_width(run: Run) -> None:
    stream = io.StringIO()
    print_summary(run, stream)
    assert max(len(line) for line in stream.getvalue().splitlines()) <= WIDTH


@pytest.mark.parametrize("columns", [60, 140])
def test_a_summary_is_as_wide_as_its_terminal(
    run: Run, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown_at(columns, functools.partial(print_summary, run), monkeypatch)
    assert max(map(len, lines)) in range(columns - 20, columns + 1)
    text = "\n".join(lines)
    assert "…" not in text
    heads = "time/op +replay +ratio +saved +interval +p99 +p99.9 +sys/op +peak RSS +frag +kept"
    assert bool(re.search(heads, text)) == (columns == 140)
    assert all(re.search(rf"(?m)(^| ){head}( |$)", text) for head in heads.split(" +"))
    assert any(line.startswith("<i>markup</i> & |pipe|") for line in lines)
    assert any(line.startswith("|pipe|") for line in lines) == (columns == 60)


def test_a_summary_that_goes_to_a_file_has_no_colour_codes(run: Run) -> None:
    stream = io.StringIO()
    print_summary(run, stream)
    assert "\x1b" not in stream.getvalue()


def test_the_page_is_as_before(report: Path, golden: Golden) -> None:
    golden("report.html", _without_bulk(report.read_text(encoding="utf-8")))


def test_the_markdown_is_as_before(report: Path, golden: Golden) -> None:
    golden("report.md", report.with_name("report.md").read_text(encoding="utf-8"))


def test_no_name_or_message_from_outside_becomes_markup(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    for markup in ("<script>alert", "<i>markup", "<b>free", "golden <run>", "Golden CPU <1>"):
        assert markup not in text


def test_the_page_forbids_the_network_and_names_no_host(report: Path) -> None:
    text = html.unescape(_without_bulk(report.read_text(encoding="utf-8")))
    assert "default-src 'none'; script-src 'HASH'" in text
    assert "connect-src" not in text
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", text)


def test_every_figure_is_written_as_a_picture(report: Path) -> None:
    pictures = sorted(path.name for path in (report.parent / "figures").glob("*.png"))
    assert {
        "causes.png",
        "memory.png",
        "syscalls.png",
        "time-per-op.png",
        "timeline-keep.png",
    } <= set(pictures)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in pictures)


def _without_bulk(text: str) -> str:
    """Style, scripts and their data are left out: the browser tests see what they do."""
    text = re.sub(r"sha256-[A-Za-z0-9+/]+=*", "HASH", text)
    return re.sub(r"<(style|script)\b([^>]*)>.*?</\1>", r"<\1\2></\1>", text, flags=re.DOTALL)
