"""docs/architecture.md is true of the tree, and all pages of the command line."""

from __future__ import annotations

import re
import subprocess

from allocphase.probe.probe import Probe
from cli import main
from tests.support.plugins import ROOT

PAGES = (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SOURCE = ROOT / "src" / "allocphase"

# What in code is a place in the tree: it has a folder, or ends as a source file does.
PATH = re.compile(r"/|\.(py|c|h|inc|toml|js|html|css)$")

# A binding list, and what their tools look for in this place.
TOP_LEVEL = {
    *("pyproject.toml", "allocators", "scenarios", "reports", "cli.py", "tests"),
    *("claims", "driver", "src", "docs", "CMakeLists.txt", "Makefile", "Containerfile"),
    *("README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "SECURITY.md"),
    *("action.yml", ".ci", ".github", ".gitignore"),
}

# Without these nobody can read the code.
TERMS = (
    "Trace, Op, Slot, Tag, Scenario, Family, Allocator, Setting, Arm, Cell, Probe, Process, "
    "Replay, Replay, Round, Run, Sweep, Metric, Floor, Cause, Live bytes, Mapped bytes, RSS, "
    "Fragmentation, Warning, Status, Baseline, Candidate, Twin, Theta, Row, Verdict, Claim"
)


def section(title: str) -> str:
    """What stands between a heading of the second level and the next one."""
    _, _, rest = TEXT.partition(f"\n## {title}\n")
    assert rest, f"there is no {title}"
    return rest.partition("\n## ")[0]


def rooms(title: str) -> list[str]:
    """The first column of a table, without the / of folders."""
    cells = re.findall(r"^\| (`.+?`) \|", section(title), re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([\w.]+)/?`", cell)]


def test_every_room_of_the_package_stands_there_and_nothing_else() -> None:
    folders = [path.parent.name for path in SOURCE.glob("*/__init__.py")]
    modules = [path.name for path in SOURCE.glob("[!_]*.py")]
    assert sorted(rooms("Rooms of src/allocphase")) == sorted(folders + modules)


def test_every_room_of_the_driver_stands_there_and_nothing_else() -> None:
    entries = {path.stem for path in (ROOT / "driver").glob("[!.]*")}
    assert sorted(rooms("Rooms of driver/")) == sorted(entries)


def test_the_top_level_holds_what_its_readers_expect_and_nothing_left_over() -> None:
    done = subprocess.run(["git", "ls-tree", "--name-only", "HEAD"], cwd=ROOT, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert set(done.stdout.split()) == TOP_LEVEL


def test_every_path_that_is_named_is_there() -> None:
    named = {word for word in re.findall(r"`([\w./*-]+)`", TEXT) if PATH.search(word)}
    assert len(named) > 50
    roots = (ROOT, SOURCE, ROOT / "driver")
    assert [name for name in sorted(named) if not any(any(r.glob(name)) for r in roots)] == []


def test_every_heading_stands_there_once() -> None:
    headings = [name.lower() for name in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)]
    assert sorted(set(headings)) == sorted(headings)


def test_every_term_of_the_vocabulary_has_a_heading_and_a_text() -> None:
    found = re.findall(r"^#### (.+)\n\n([^#\n])", section("Vocabulary"), re.MULTILINE)
    assert len(found) == section("Vocabulary").count("\n#### ")
    assert sorted(set(TERMS.split(", ")) - {term for term, _ in found}) == []


def test_the_vocabulary_has_every_probe() -> None:
    text = section("Vocabulary").partition("\n#### Probe\n")[2].partition("\n#### ")[0]
    assert [probe.value for probe in Probe if probe.value not in text] == []


def named_commands() -> dict[str, set[str]]:
    """What README and docs call a command of allocphase, in code; with the pages that do."""
    found: dict[str, set[str]] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for word in re.findall(r"(?:`|^ {4,}(?:\.venv/bin/)?)allocphase\s([a-z]+)", text, re.M):
            found.setdefault(word, set()).add(page.name)
    return found


def test_every_command_that_a_page_names_is_one() -> None:
    assert {w: pages for w, pages in named_commands().items() if w not in main.commands} == {}


def test_every_command_stands_on_a_page_for_users_and_in_the_table_of_commands() -> None:
    elsewhere = {word for word, pages in named_commands().items() if pages - {"architecture.md"}}
    assert elsewhere == set(main.commands)
    table = re.findall(r"^\| `allocphase (\w+)` \|", section("Commands"), re.MULTILINE)
    assert sorted(table) == sorted(main.commands)
