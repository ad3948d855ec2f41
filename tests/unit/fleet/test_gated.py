"""A fleet's gate: who is named, what is pooled, who is left out, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from allocphase.errors import DataError, NothingMeasuredError
from allocphase.fleet import FleetRow, FleetVerdict, Standing, gate_fleet, read_files
from allocphase.fleet.render.export import document, markdown
from allocphase.fleet.render.table import headline, remarks, told_rows
from allocphase.hosts.document import HostStatus
from tests.support.made_fleets import SCENARIOS, MadeHost, made_gates

CHURN = f"time:{SCENARIOS[1]}"


def slower(arm: str, _scenario: str) -> float:
    """The candidate takes 5% more."""
    return 1.05 if arm == "candidate" else 1.0


def gated(folder: Path, *hosts: MadeHost, **changes: int) -> FleetVerdict:
    return gate_fleet(read_files(made_gates(folder, hosts, **changes)))


def row(verdict: FleetVerdict, row_id: str = CHURN) -> FleetRow:
    return next(one for one in verdict.rows if one.id == row_id)


@pytest.fixture(scope="module")
def one_is_slow(tmp_path_factory: pytest.TempPathFactory) -> FleetVerdict:
    """Three hosts and a lost one; on b the candidate is slower, and huge pages are another way."""
    return gated(
        tmp_path_factory.mktemp("fleet"),
        MadeHost("a"),
        MadeHost(
            "b",
            factor=slower,
            faults={"candidate": 7},
            facts={"transparent_huge_pages": "always-here"},
        ),
        MadeHost(
            "c",
            ns=17.0,
            facts={"machine": "aarch64"},
            faults=dict.fromkeys(("baseline", "twin", "candidate"), 9),
        ),
        MadeHost("d", status=HostStatus.LOST, reason="its worker is away"),
    )


def test_a_regression_on_one_host_is_named_with_that_host(one_is_slow: FleetVerdict) -> None:
    found = row(one_is_slow)
    assert found.finding == "worse on b"
    assert found.on(Standing.WORSE) == ["b"]
    assert found.on(Standing.NOT_WORSE) == ["a", "c"]
    assert found.decided_text == "decided on 3 of 4"
    assert one_is_slow.exit_code == 3
    assert one_is_slow.word == "worse"
    assert headline(one_is_slow) == "worse: 4 of 12 rows are worse on b; 3 of 4 hosts judged."


def test_the_pooled_signs_are_of_the_hosts_that_came_back(one_is_slow: FleetVerdict) -> None:
    pooled = row(one_is_slow).pooled
    assert pooled is not None
    assert pooled.hosts == 3
    assert pooled.standing is not Standing.WORSE
    assert pooled.ratio.lower < 1.0 < pooled.ratio.upper


def test_counts_must_agree_where_hosts_are_alike_and_the_fact_is_named(
    one_is_slow: FleetVerdict,
) -> None:
    """c is of another instruction set, and counts otherwise for all arms: nothing is wrong."""
    found = [one for one in one_is_slow.counts if one.scenario == SCENARIOS[1]]
    assert [(one.arm, one.metric) for one in found] == [("the candidate, new", "page_faults")]
    assert found[0].values == ((5.0, ("a",)), (7.0, ("b",)))
    assert len(found[0].differing) == 1
    assert "transparent_huge_pages" in found[0].differing[0]


def test_what_is_not_in_the_table_is_said_below_it(one_is_slow: FleetVerdict) -> None:
    lines = list(remarks(one_is_slow, told_rows(one_is_slow)))
    assert "d is not judged: lost: its worker is away" in lines
    assert any(line.startswith(f"{CHURN} is worse on b: +") for line in lines)
    assert "8 further counts are worse on no host." in lines


def test_json_and_markdown_say_the_same(one_is_slow: FleetVerdict) -> None:
    told = json.loads(json.dumps(document(one_is_slow), allow_nan=False))
    assert (told["verdict"], told["exit_code"]) == ("worse", 3)
    (found,) = [one for one in told["rows"] if one["id"] == CHURN]
    assert found["finding"] == "worse on b"
    assert [one["standing"] for one in found["hosts"]] == ["not worse", "worse", "not worse",
                                                           "absent"]  # fmt: skip
    assert f"| {CHURN}".replace("&", "\\&") in markdown(one_is_slow)
    assert "**worse on b**" in markdown(one_is_slow)


def test_worse_everywhere_is_worse_on_all_and_over_all_rounds(tmp_path: Path) -> None:
    hosts = MadeHost("a", factor=slower), MadeHost("b", factor=slower)
    found = gated(tmp_path, *hosts, min_rounds=15)
    assert row(found).finding == "worse on all"
    pooled = row(found).pooled
    assert pooled is not None
    assert pooled.standing is Standing.WORSE


def test_hosts_that_see_the_opposite_disagree(tmp_path: Path) -> None:
    hosts = (
        MadeHost("a", factor=slower),
        MadeHost("b", factor=lambda arm, _: 0.9 if arm == "candidate" else 1.0),
    )
    assert row(gated(tmp_path, *hosts)).finding == "hosts disagree: worse on a; better on b"


def test_a_fleet_in_which_nothing_changed_passes(tmp_path: Path) -> None:
    found = gated(tmp_path, MadeHost("a"), MadeHost("b"), MadeHost("c"))
    assert found.exit_code == 0
    assert {one.finding for one in found.rows} == {"not worse"}


def test_a_host_that_is_gone_keeps_a_fleet_from_passing(tmp_path: Path) -> None:
    found = gated(tmp_path, MadeHost("a"), MadeHost("b", status=HostStatus.FAILED, reason="full"))
    assert (found.exit_code, found.word) == (5, "not measured")


def test_nothing_is_pooled_while_a_host_still_measures(tmp_path: Path) -> None:
    hosts = MadeHost("a"), MadeHost("b"), MadeHost("c", status=HostStatus.RUNNING)
    found = gated(tmp_path, *hosts)
    assert found.waiting
    assert {one.pooled for one in found.rows} == {None}


def test_a_host_whose_baseline_drifts_is_left_out_with_its_times_and_keeps_its_counts(
    tmp_path: Path,
) -> None:
    found = gated(
        tmp_path,
        MadeHost("a"),
        MadeHost("hot", drift=0.6, faults={"candidate": 7}),
        min_rounds=20,
    )
    assert row(found).on(Standing.UNSTEADY) == ["hot"]
    assert row(found, f"page_faults:{SCENARIOS[1]}").finding == "worse on hot"
    (unsteady,) = [host.unsteady for host in found.hosts if host.unsteady]
    assert unsteady.startswith("the baseline drifts: +")


def test_a_host_on_which_the_twin_is_no_twin_is_left_out(tmp_path: Path) -> None:
    found = gated(
        tmp_path,
        MadeHost("a"),
        MadeHost("odd", factor=lambda arm, _: 1.04 if arm == "twin" else 1.0),
        min_rounds=20,
    )
    (unsteady,) = [host.unsteady for host in found.hosts if host.unsteady]
    assert unsteady.startswith("the twin of the baseline, the same object, is not as quick")


def test_a_fleet_of_which_nothing_came_back_says_so(tmp_path: Path) -> None:
    files = read_files(made_gates(tmp_path, [MadeHost("a", status=HostStatus.RUNNING)]))
    with pytest.raises(NothingMeasuredError, match="no host has come back yet"):
        gate_fleet(files)


def test_a_done_host_without_its_files_names_the_way_out(tmp_path: Path) -> None:
    fleet = made_gates(tmp_path, [MadeHost("a")])
    (fleet / "hosts" / "a" / "run.json").unlink()
    with pytest.raises(DataError, match=r"host a is done: `allocphase fleet fetch"):
        read_files(fleet)
