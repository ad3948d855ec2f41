"""fleet.html: one file, no request to any host, every name from outside escaped.

It has the style sheet of every report, and of scripts only the line that follows the reader's
theme: all that it tells is in its tables. Each host's own report is linked, where it lies in the
fleet's folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from allocphase.fleet.hosts import FleetFiles, Host, facts_of, separating
from allocphase.fleet.render.matrix import Matrix, gate_matrices, run_matrices
from allocphase.fleet.render.table import LEGEND, headline, overview, remarks, told_rows
from allocphase.fleet.standing import listed
from allocphase.fleet.verdict import FleetVerdict
from allocphase.fleet.winners import Change, Place, changes, places_of
from allocphase.report.page.assets import policy, script, style
from allocphase.resources import find

__all__ = ["FILE", "page"]

FILE = "fleet.html"
Values = dict[str, Any]


def page(files: FleetFiles, verdict: FleetVerdict) -> str:
    """The whole document. Hosts are read one after the other."""
    facts = {host.name: facts_of(host) for host in files.hosts}
    links = {host.name: link for host in files.hosts if (link := _link(files, host))}
    told = _Told.of(files, verdict, facts)
    text: str = _template().render(
        policy=policy([script("fleet")]),
        css=style(),
        script=script("fleet"),
        kind=verdict.kind,
        label=verdict.label,
        head=_head(files, verdict),
        contents=_contents(verdict),
        verdict=[headline(verdict), *told.sentences(verdict)],
        failures=_failures(verdict),
        doubts=_doubts(verdict),
        matrices=[matrix.values(links) for matrix in told.matrices],
        changes=told.changed,
        rows=_rows(verdict),
        legend=LEGEND,
        counts=[one.text for one in verdict.counts],
        hosts=_hosts(verdict, links),
        **_kinds(facts),
    )
    return text


@dataclass(frozen=True, slots=True)
class _Told:
    """What is made of the hosts' runs: the matrices, and where the winner changes."""

    matrices: Sequence[Matrix]
    changed: Sequence[Change]

    @classmethod
    def of(
        cls, files: FleetFiles, verdict: FleetVerdict, facts: Mapping[str, Mapping[str, object]]
    ) -> _Told:
        if verdict.kind == "gate":
            return cls(gate_matrices(verdict), [])
        unsteady = {host.name for host in verdict.hosts if host.unsteady}
        steady = [host for host in files.measured if host.name not in unsteady]
        places: dict[str, dict[str, Place]] = {host.name: places_of(host.run()) for host in steady}
        return cls(run_matrices(verdict, places), changes(places, facts))

    def sentences(self, verdict: FleetVerdict) -> list[str]:
        worse = [row for row in verdict.rows if row.is_worse]
        found = [f"{row.id}: {row.finding}; {row.decided_text}." for row in worse[:_MOST]]
        if len(worse) > _MOST:
            found.append(f"And {len(worse) - _MOST} more rows, below.")
        if verdict.kind == "run" and self.changed:
            names = listed([change.scenario for change in self.changed])
            found.append(f"The quickest allocator is another one from host to host on {names}.")
        return found


_MOST = 6


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(find("reports/fleet.html").parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("fleet.html")


def _head(files: FleetFiles, verdict: FleetVerdict) -> list[str]:
    sides = f"{verdict.candidate} against {verdict.against}" if verdict.candidate else (
        f"against {verdict.against}"
    )  # fmt: skip
    return [files.fleet.started, sides, f"allocphase {files.fleet.version}"]


def _contents(verdict: FleetVerdict) -> list[tuple[str, str]]:
    entries = [("verdict", "Verdict"), ("matrix", "Hosts by scenarios")]
    if verdict.kind == "run":
        entries.append(("changes", "Where the winner changes"))
    return [*entries, ("rows", "What was decided"), ("hosts", "What separates the hosts")]


def _failures(verdict: FleetVerdict) -> list[str]:
    away = [f"{host.name} is not judged: {host.why}" for host in verdict.hosts if host.why]
    broken = [f"The candidate breaks on {host.name}." for host in verdict.hosts if host.broken]
    return away + broken


def _doubts(verdict: FleetVerdict) -> list[str]:
    """What remarks say beside failures and counts, which stand elsewhere."""
    shown = replace(verdict, counts=())
    lines = remarks(shown, verdict.rows, telling=False)
    return [line for line in lines if line not in _failures(verdict)]


def _rows(verdict: FleetVerdict) -> Values:
    found = overview(told_rows(verdict, everything=True))
    return {"columns": [column.name for column in found.columns], "lines": found.rows}


def _hosts(verdict: FleetVerdict, links: Mapping[str, str]) -> list[Values]:
    return [
        {
            "name": host.name,
            "status": str(host.status),
            "link": links.get(host.name),
            "word": host.word,
            "remark": host.why or host.unsteady,
        }
        for host in verdict.hosts
    ]


def _kinds(facts: Mapping[str, Mapping[str, object]]) -> Values:
    """Hosts with the same of every fact share a column."""
    rows = separating(facts)
    by_texts: dict[tuple[str, ...], list[str]] = {}
    for host in facts:
        by_texts.setdefault(tuple(row.texts[host] for row in rows), []).append(host)
    return {
        "kinds": [listed(hosts) for hosts in by_texts.values()],
        "facts": [
            {
                "name": row.fact.replace("_", " "),
                "differs": row.differs,
                "texts": [texts[place] for texts in by_texts],
            }
            for place, row in enumerate(rows)
        ],
    }


def _link(files: FleetFiles, host: Host) -> str | None:
    """Within the fleet's folder, where the host's report lies."""
    if host.path is None or not (host.path / "report.html").is_file():
        return None
    return f"{quote(str(host.path.relative_to(files.path)))}/report.html"
