"""How often a fleet of three hosts with 60 rows each raises an alarm of nothing, and whom it names.

Rounds are drawn, and judged by the code that judges measured ones: each host's first session by
ranks, its second by signs, then Holm over hosts and the pooled signs. A row ends where its host's
rule ends it, so that hosts have different numbers of rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase.analysis.metric_names import measure
from allocphase.fleet.gated import Gated, fleet_rows
from allocphase.fleet.standing import FleetRow, Standing
from allocphase.judge import (
    ArmEntry,
    GateVerdict,
    Row,
    Rule,
    SessionEntry,
    SessionResult,
    Settings,
    Values,
    final_rows,
)
from allocphase.judge.judge import ALPHA, CONFIRM_ALPHA
from allocphase.judge.outcome import Judged, Outcome
from allocphase.judge.sampled import judge_timed
from allocphase.stats import SequentialRank
from allocphase.stats.proportion import proportion_interval
from tests.benchmarks.conftest import Say

HOSTS = ("a", "b", "c")
ROWS, ROUNDS, THETA = 60, 40, 0.02
FLEETS = 400
ARM = ArmEntry(name="made", kind="libc", path=None, sha256=None, config={})
SETTINGS = Settings(
    theta=THETA,
    memory_theta=0.05,
    limits=(),
    max_rounds=ROUNDS,
    time_budget_s=600.0,
    seed=1,
    scenarios=(),
)
PLANNED = [
    Row(measure("time"), f"scenario-{n}", Rule(theta=THETA, exact=False, named=False))
    for n in range(ROWS)
]
FIRST = SequentialRank(theta=THETA, alpha=ALPHA, rows=ROWS, others=2)

Effect = Callable[[str, int], float]  # of the candidate, by host and row
Times = npt.NDArray[np.float64]


@dataclass
class Drawn:
    """Draws the arms of a session; the noise of one arm is `sd` of its time."""

    rng: np.random.Generator
    sd: float
    effect: Effect

    def values(self, host: str, row: int, *, twin: bool) -> Values:
        arms = 10.0 * np.exp(self.rng.normal(0.0, self.sd, (3, ROUNDS)))
        base, copy, candidate = arms
        candidate = candidate * (1.0 + self.effect(host, row))
        return Values(base, copy if twin else np.full(ROUNDS, np.nan), candidate)


def until_decided(values: Values, rule: SequentialRank) -> tuple[Values, Judged]:
    """The rounds that a gate would have measured of it, and where it stands then."""
    arms = (values.base, values.twin)[: rule.others]
    x = np.column_stack([np.log(values.candidate / arm) for arm in arms])
    measured = values.first(rule.decide(x).rounds)
    return measured, judge_timed(measured, rule, final=False)


def gated(host: str, drawn: Drawn) -> Gated:
    """One host's gate: a first session, and a second one of what it flagged."""
    first, ratios = [], {}
    for number, row in enumerate(PLANNED):
        measured, judged = until_decided(drawn.values(host, number, twin=True), FIRST)
        first.append((row, judged))
        ratios[row.id] = np.log(measured.candidate / measured.base)
    flagged = [
        (number, row)
        for number, (row, judged) in enumerate(first)
        if judged.outcome is Outcome.REGRESSED
    ]
    again = None
    if flagged:
        rule = SequentialRank(theta=THETA, alpha=CONFIRM_ALPHA, rows=len(flagged), others=1)
        judged_again = [
            (row, until_decided(drawn.values(host, number, twin=False), rule)[1])
            for number, row in flagged
        ]
        again = SessionResult(tuple(judged_again), ROUNDS)
    sessions = [
        SessionEntry(path=name, rounds=ROUNDS, planned=ROUNDS, repeated=0, seconds=1.0)
        for name in ("first", "again")[: 2 if again else 1]
    ]
    verdict = GateVerdict(
        baseline=ARM,
        candidate=ARM,
        environment={},
        settings=SETTINGS,
        fail_inconclusive=True,
        sessions=tuple(sessions),
        notes=(),
        machine_mismatch=(),
        failures=(),
        rows=final_rows(SessionResult(tuple(first), ROUNDS), again),
    )
    return Gated(host, verdict, "", ratios)


def judged_fleets(count: int, *, sd: float, effect: Effect, seed: int) -> list[list[FleetRow]]:
    """So many fleets' rows."""
    drawn = Drawn(np.random.default_rng(seed), sd, effect)
    return [list(fleet_rows(HOSTS, [gated(host, drawn) for host in HOSTS])) for _ in range(count)]


def share(found: int, of: int) -> str:
    """ "3 of 400 (0.2% to 2.2%)"."""
    bounds = proportion_interval(found, of)
    return f"{found} of {of} ({bounds.lower:.1%} to {bounds.upper:.1%})"


def alarms(fleets: Sequence[Sequence[FleetRow]]) -> tuple[int, int]:
    """In how many fleets a host is named, and in how many all rounds together are worse."""
    named = sum(any(row.on(Standing.WORSE) for row in rows) for rows in fleets)
    pooled = sum(
        any(row.pooled is not None and row.pooled.standing is Standing.WORSE for row in rows)
        for rows in fleets
    )
    return named, pooled


@pytest.mark.parametrize(
    ("what", "effect"),
    [("nothing changed", 0.0), ("every row exactly at the limit, the worst that passes", THETA)],
    ids=["A/A", "at the limit"],
)
def test_a_fleet_of_which_no_host_is_worse_is_silent(
    benchmark: BenchmarkFixture, full: bool, say: Say, what: str, effect: float
) -> None:
    fleets = benchmark.pedantic(
        judged_fleets,
        args=(FLEETS if full else 1,),
        kwargs={"sd": 0.02, "effect": lambda _host, _row: effect, "seed": 20},
        rounds=1,
        iterations=1,
    )
    named, pooled = alarms(fleets)
    say(
        f"3 hosts x {ROWS} rows, {what}: a host is named in {share(named, len(fleets))} fleets, "
        f"all rounds are worse in {share(pooled, len(fleets))}"
    )
    benchmark.extra_info["named"], benchmark.extra_info["pooled"] = named, pooled
    # At most 1 in 100 by design, each: so many would come by chance once in a million.
    assert max(named, pooled) <= (16 if full else 1)


def test_five_per_cent_on_one_host_are_found_and_that_host_is_named(
    benchmark: BenchmarkFixture, full: bool, say: Say
) -> None:
    def planted(host: str, row: int) -> float:
        return 0.05 if (host, row) == ("b", 7) else 0.0

    fleets = benchmark.pedantic(
        judged_fleets,
        args=(FLEETS if full else 2,),
        kwargs={"sd": 0.01, "effect": planted, "seed": 21},
        rounds=1,
        iterations=1,
    )
    found = sum(rows[7].finding == "worse on b" for rows in fleets)
    wrong = sum(
        any(row.on(Standing.WORSE) for row in [*rows[:7], *rows[8:]])
        or rows[7].on(Standing.WORSE) not in ([], ["b"])
        for rows in fleets
    )
    say(
        f"3 hosts x {ROWS} rows, 5% on one row of one host, 1% of noise: named with its host in "
        f"{share(found, len(fleets))} fleets, another row or host in {share(wrong, len(fleets))}"
    )
    benchmark.extra_info["found"], benchmark.extra_info["wrong"] = found, wrong
    assert found >= 0.8 * len(fleets)
