"""The documentation site is made without a warning, asks no host for anything, and has no dead
link; what the tutorials show is run as it stands there.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from cli import COMMANDS
from tests.integration.test_docs import fenced
from tests.support.plugins import ROOT

TUTORIALS = ROOT / "docs" / "tutorials"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make docs` makes it."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--quiet", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", f"{target}-trees", str(ROOT / "docs"), str(target)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return target


class _Page(HTMLParser):
    """What a page asks for by itself, where it links to, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value for name, value in attrs if value is not None}
        if "id" in named:
            self.anchors.add(named["id"])
        if tag == "a":
            self.links += [named["href"]] if "href" in named else []
        else:
            self.fetched += [named[name] for name in ("src", "href") if name in named]


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    return {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_the_pages_ask_no_host_for_anything(site: Path, pages: dict[Path, _Page]) -> None:
    assert len(pages) > 15
    for path, page in pages.items():
        assert not [url for url in page.fetched if urlsplit(url).netloc], path
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", text), path


def test_no_link_leads_nowhere(pages: dict[Path, _Page]) -> None:
    dead = [f"{path.name}: {link}" for path, link in _dead(pages)]
    assert not dead
    assert sum(len(page.links) for page in pages.values()) > 500


def _dead(pages: dict[Path, _Page]) -> Iterator[tuple[Path, str]]:
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = {"", *(pages[target].anchors if target in pages else ())}
            if not target.is_file() or unquote(parts.fragment) not in anchors:
                yield path, link


def test_every_command_has_its_manual_page_and_its_place_on_the_site(
    tmp_path: Path, pages: dict[Path, _Page]
) -> None:
    subprocess.run(
        [BIN / "click-man", "allocphase", "--target", tmp_path], check=True, capture_output=True
    )
    (reference,) = (page for path, page in pages.items() if path.name == "commands.html")
    for command in COMMANDS:
        text = (tmp_path / f"allocphase-{command.name}.1").read_text(encoding="utf-8")
        assert ".SH SYNOPSIS" in text
        assert f"allocphase-{command.name}" in reference.anchors


def test_the_tutorial_of_an_allocator_goes_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(BIN), prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tutorial = TUTORIALS / "allocator.md"
    (source,) = fenced(tutorial, "c")
    (tmp_path / "lists.c").write_text(source, encoding="utf-8")
    ends = []
    for line in _lines(tutorial):
        done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True)
        ends.append(done.returncode)
        assert done.returncode in (0, 3), done.stdout + done.stderr
    assert ends == [0, 0, 0, 0, 3]


def _lines(tutorial: Path) -> list[str]:
    """The indented lines: what is to be typed."""
    text = re.sub(r"```.*?```", "", tutorial.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)


def test_the_tutorial_of_a_program_goes_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(BIN), prepend=":")
    for line in _lines(TUTORIALS / "program.md"):
        done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "served by phase3\n"
