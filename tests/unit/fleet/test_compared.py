"""A fleet's run: rows over hosts, a canary that drifts, rounds that are lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from allocphase.compare import CompareSettings
from allocphase.fleet import FleetRow, FleetVerdict, Standing, compare_fleet, read_files
from allocphase.hosts.document import HostStatus, host_folder
from allocphase.store.record import ProcessRecord
from tests.support.made_fleets import SCENARIOS, MadeHost, made_runs

CHURN = f"time:{SCENARIOS[1]} of mine"


def compared(folder: Path) -> FleetVerdict:
    return compare_fleet(read_files(folder), CompareSettings())


def row(verdict: FleetVerdict, row_id: str = CHURN) -> FleetRow:
    return next(one for one in verdict.rows if one.id == row_id)


def mine(factor: float) -> Callable[[str, str], float]:
    """What `mine` takes, times libc's time."""
    return lambda arm, _: factor if arm == "mine" else 1.0


def test_where_the_winner_is_another_the_hosts_disagree(tmp_path: Path) -> None:
    hosts = [MadeHost("a", factor=mine(0.9)), MadeHost("b", ns=40.0, factor=mine(1.06))]
    found = compared(made_runs(tmp_path, hosts))
    assert row(found).finding == "hosts disagree: worse on b; better on a"
    assert row(found).decided_text == "decided on 2 of 2"
    assert found.exit_code == 0
    assert found.against == "libc"


def test_a_host_whose_null_allocator_drifts_is_left_out_with_its_times(tmp_path: Path) -> None:
    hosts = [
        MadeHost("a"),
        MadeHost("hot", drift=0.3, faults={"mine": 6}),
        MadeHost("c", status=HostStatus.LOST),
    ]
    found = compared(made_runs(tmp_path, hosts))
    assert row(found).on(Standing.UNSTEADY) == ["hot"]
    assert row(found).on(Standing.ABSENT) == ["c"]
    assert row(found).decided_text == "decided on 1 of 3"
    assert row(found, f"page_faults:{SCENARIOS[1]} of mine").finding == "worse on hot"
    (unsteady,) = [host.unsteady for host in found.hosts if host.unsteady]
    assert unsteady.startswith("the null allocator drifts: +")


def test_no_steady_host_is_left_out(tmp_path: Path) -> None:
    found = compared(made_runs(tmp_path, [MadeHost(name) for name in ("a", "b", "c", "d")]))
    assert not [host for host in found.hosts if host.unsteady]
    assert found.counts == ()


def test_a_round_that_one_arm_lacks_is_dropped_for_both_and_counted(tmp_path: Path) -> None:
    fleet = made_runs(tmp_path, [MadeHost("a"), MadeHost("b")])
    journal = host_folder(fleet, "b") / "processes.jsonl"
    kept = [line for line in journal.read_text("utf-8").splitlines() if not _is_lost(line)]
    journal.write_text("\n".join(kept) + "\n", "utf-8")
    found = row(compared(fleet))
    assert [(one.rounds, one.dropped) for one in found.hosts] == [(20, 0), (19, 1)]
    assert found.pooled is not None
    assert found.pooled.rounds <= 39


def test_a_candidate_that_is_broken_on_one_host_is_not_better_over_all(tmp_path: Path) -> None:
    fleet = made_runs(tmp_path, [MadeHost(name, factor=mine(0.8)) for name in ("a", "b")])
    assert "better" in row(compared(fleet)).finding
    journal = host_folder(fleet, "b") / "processes.jsonl"
    lines = journal.read_text("utf-8").splitlines()
    place = next(place for place, line in enumerate(lines) if _is_lost(line))
    crashed = {**json.loads(lines[place]), "status": "crashed", "message": "SIGSEGV in free"}
    lines[place] = json.dumps(crashed)
    journal.write_text("\n".join(lines) + "\n", "utf-8")
    found = row(compared(fleet))
    assert found.pooled is None
    assert found.on(Standing.BETTER) == ["a"]
    assert found.on(Standing.OPEN) == ["b"]


def _is_lost(line: str) -> bool:
    record = ProcessRecord.from_json(line)
    return (record.allocator, record.scenario, record.round) == ("mine", SCENARIOS[1], 7)
