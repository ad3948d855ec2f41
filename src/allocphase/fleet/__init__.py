"""A fleet's results: one plan that ran on several hosts, judged and shown from its files alone.

Place in the pipeline: after judge, compare and report, whose words, rows and looks it uses. It
reads `fleet.json` and the run directories in `hosts/`, and knows nothing of how they came there.

    hosts           what came back of each host, and what is known of its machine
    canary          whether a host was steady enough to be believed
    standing        rows over hosts: each host's standing, the pooled signs, and the word for both
    gated, compared a fleet's gate, a fleet's run: to those rows
    agreeing        counts that must be the same on hosts that are alike
    verdict         the whole: rows, hosts, exit code
    winners         which arm is the quickest on which host, and where that changes
    render/         for a terminal, Markdown, JSON and a page
"""

from __future__ import annotations

from allocphase.fleet.compared import compare_fleet
from allocphase.fleet.gated import gate_fleet
from allocphase.fleet.hosts import FleetFiles, read_files
from allocphase.fleet.standing import FleetRow, HostStanding, Standing
from allocphase.fleet.verdict import FleetVerdict

__all__ = [
    "FleetFiles",
    "FleetRow",
    "FleetVerdict",
    "HostStanding",
    "Standing",
    "compare_fleet",
    "gate_fleet",
    "read_files",
]
