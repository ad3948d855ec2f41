"""Writes a fleet's page into its folder, and each host's own report into that host's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from allocphase.compare import CompareSettings
from allocphase.files.durable import write_text
from allocphase.fleet.compared import compare_fleet
from allocphase.fleet.gated import gate_fleet
from allocphase.fleet.hosts import FleetFiles, Host
from allocphase.fleet.render.page import FILE, page
from allocphase.report.render import render

__all__ = ["render_fleet"]


def render_fleet(
    files: FleetFiles, *, formats: tuple[str, ...] = ("png",), say: Callable[[str], None]
) -> Path:
    """Returns the path of fleet.html. A host's report that is there already stays.

    say: is told of each host whose report is made, which takes some seconds each. Raises as
    gate_fleet, compare_fleet and report.render.
    """
    # First, and without any report: what cannot be judged costs nobody a minute.
    gates = files.fleet.kind == "gate"
    verdict = gate_fleet(files) if gates else compare_fleet(files, CompareSettings())
    for host in files.measured:
        if not _has_report(host):
            say(f"report of {host.name}")
            render(host.run(), formats=formats)
    path = files.path / FILE
    write_text(path, page(files, verdict), synced=False)
    return path


def _has_report(host: Host) -> bool:
    return host.path is not None and (host.path / "report.html").is_file()
