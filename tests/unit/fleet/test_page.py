"""The fleet's page: who wins where, what separates hosts, and nothing that leaves the page."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from allocphase.compare import CompareSettings
from allocphase.fleet import compare_fleet, gate_fleet, read_files
from allocphase.fleet.hosts import facts_of
from allocphase.fleet.render.page import page
from allocphase.fleet.render.report import render_fleet
from allocphase.fleet.winners import changes, places_of
from allocphase.hosts.document import HostStatus
from tests.support.made_fleets import SCENARIOS, MadeHost, made_gates, made_runs

XEON = {"cpu": "Xeon", "cores": 16}
EPYC = {"cpu": "<EPYC> & more", "cores": 32}


def factor(mine: float, other: float) -> Callable[[str, str], float]:
    """Of these two allocators, times libc's time."""
    return lambda arm, _: {"mine": mine, "other": other}.get(arm, 1.0)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On a and b `mine` is the quickest, on c `other`; d and e have no say."""
    hosts = [
        MadeHost("a", facts=EPYC, factor=factor(0.7, 0.9)),
        MadeHost("b", facts=EPYC, factor=factor(0.7, 0.9)),
        MadeHost("c", facts=XEON, factor=factor(1.2, 0.8)),
        MadeHost("d", facts=EPYC, drift=0.3),
        MadeHost("e", facts=EPYC, status=HostStatus.LOST, reason="<b>gone</b>"),
    ]
    names = ("libc", "mine", "other")
    return made_runs(tmp_path_factory.mktemp("fleet"), hosts, allocators=names)


@pytest.fixture(scope="module")
def document(fleet: Path) -> str:
    files = read_files(fleet)
    return page(files, compare_fleet(files, CompareSettings()))


class _Tables(HTMLParser):
    """The rows of each table, as texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 (the parser's)
        if tag == "table":
            self.tables.append([])
        if tag == "tr" and self.tables:
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.tables[-1][-1][-1] += data.strip()


def tables(text: str) -> list[list[list[str]]]:
    parser = _Tables()
    parser.feed(text)
    return parser.tables


def test_the_first_matrix_says_who_is_the_quickest_on_which_host(document: str) -> None:
    winners = {row[0]: row[1:] for row in tables(document)[0]}
    assert winners["host"] == list(SCENARIOS)
    assert winners["a"] == ["mine0.70x", "mine0.70x"]
    assert winners["c"] == ["other0.80x", "other0.80x"]
    assert winners["d"] == ["unsteady", "unsteady"]
    assert winners["e"] == ["absent", "absent"]


def test_where_the_winner_changes_the_facts_that_tell_the_hosts_apart_are_named(
    fleet: Path,
) -> None:
    files = read_files(fleet)
    hosts = [host for host in files.measured if host.name != "d"]
    places = {host.name: places_of(host.run()) for host in hosts}
    found = changes(places, {host.name: facts_of(host) for host in files.hosts})
    assert [change.scenario for change in found] == list(SCENARIOS)
    assert found[0].winners == {"mine": ["a", "b"], "other": ["c"]}
    assert "cores (32 on a, b, 16 on c)" in found[0].text


def test_hosts_that_nothing_tells_apart_share_a_column(document: str) -> None:
    facts = next(table for table in tables(document) if table[0][0] == "fact")
    assert facts[0][1:] == ["a, b, d", "c", "e"]
    rows = {row[0]: row[1:] for row in facts}
    assert rows["cores"] == ["32", "16", "32"]


def test_names_from_outside_are_text(document: str) -> None:
    assert "<b>gone" not in document
    assert "&lt;EPYC&gt; &amp; more" in document


def test_the_page_asks_nobody_for_anything_and_runs_its_one_line_alone(document: str) -> None:
    assert not re.search(r"(src|href)=\"?(https?:)?//", document)
    assert document.count("<script>") == 1
    assert "default-src 'none'; script-src 'sha256-" in html.unescape(document)


def test_each_host_has_its_report_and_the_page_links_it(tmp_path: Path) -> None:
    fleet = made_gates(tmp_path, [MadeHost("a"), MadeHost("b", status=HostStatus.LOST)])
    told: list[str] = []
    path = render_fleet(read_files(fleet), say=told.append)
    assert path == fleet / "fleet.html"
    assert told == ["report of a"]
    assert 'href="hosts/a/report.html"' in path.read_text("utf-8")
    assert "hosts/b/report.html" not in path.read_text("utf-8")
    render_fleet(read_files(fleet), say=told.append)
    assert told == ["report of a"]


def test_a_gate_has_a_matrix_of_changes_and_each_hosts_verdict(tmp_path: Path) -> None:
    hosts = [
        MadeHost("a"),
        MadeHost("b", factor=lambda arm, _: 1.05 if arm == "candidate" else 1.0),
    ]
    files = read_files(made_gates(tmp_path, hosts))
    text = page(files, gate_fleet(files))
    matrix = {row[0]: row[1:] for row in tables(text)[0]}
    assert all("worse" in cell for cell in matrix["b"])
    assert not any("worse" in cell for cell in matrix["a"])
    assert "Where the winner changes" not in text
