"""A fleet's gate: each host's own verdict, Holm over hosts, and the pooled signs.

A host's verdict needs two sessions, and one of its own is wrong in 1 gate of 2,000. Over a hundred
hosts that adds up. So each of a host's regressed rows has a p-value: the chance that the first
session flags it, times the one that the second has confirmed it by the round at which it did; and
with all rows of all hosts in one family a host is named only where Holm's step-down rejects, at
ALPHA: no fleet, of whatever size, names any host falsely more often than that. Times are one family
and counts another, as in a single gate. Up to 20 hosts every row that a host's gate confirmed is
named; with 128 one that was worse in each confirming round still is.

Pooled are the signs of the first sessions, against the baseline alone and at the level of both
sessions together: H hosts measured it, each with copies of its own, which is what a second session
is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from allocphase.errors import NothingMeasuredError
from allocphase.fleet.agreeing import Count, disagreements
from allocphase.fleet.canary import drift_of, twin_differs
from allocphase.fleet.hosts import FleetFiles, Host, facts_of
from allocphase.fleet.standing import FleetRow, HostStanding, Pooled, Standing, pooled_signs
from allocphase.fleet.verdict import FleetVerdict, HostResult, told_once
from allocphase.judge import BASELINE, Evidence, GateRow, GateVerdict, Outcome, candidates_own
from allocphase.judge.document import read_verdict
from allocphase.judge.judge import ALPHA, CONFIRM_ALPHA, COUNT_BUDGET
from allocphase.stats import Interval
from allocphase.stats.boundary import rank_boundary
from allocphase.stats.pooled import crossing_chance
from allocphase.stats.signtest import holm
from allocphase.stats.values import FloatArray, count_log_ratios

__all__ = ["Gated", "fleet_rows", "gate_fleet"]

# judge/counted.py: a difference of counts on which all processes agree, by chance alone.
EXACT_CHANCE = 1 / 735_471

_STANDINGS = {
    Outcome.REGRESSED: Standing.FLAGGED,  # until Holm has named it
    Outcome.IMPROVED: Standing.BETTER,
    Outcome.UNCHANGED: Standing.NOT_WORSE,
    Outcome.NOT_WORSE: Standing.NOT_WORSE,
    Outcome.UNCONFIRMED: Standing.NOT_WORSE,
    Outcome.UNDECIDED: Standing.OPEN,
    Outcome.INCONCLUSIVE: Standing.OPEN,
    Outcome.NOT_MEASURED: Standing.ABSENT,
}
_NOTHING = Interval(np.nan, -np.inf, np.inf, np.nan)


@dataclass(frozen=True, slots=True)
class Gated:
    """One host's gate, condensed: its verdict, and of each timed row the log ratios by round."""

    host: str
    verdict: GateVerdict
    unsteady: str
    ratios: Mapping[str, FloatArray]

    def row(self, row_id: str) -> GateRow | None:
        """Its row of that name."""
        return next((row for row in self.verdict.rows if row.id == row_id), None)


def gate_fleet(files: FleetFiles) -> FleetVerdict:
    """Judges a fleet's gate from what came back. Raises as `judge.document.read_verdict`, and
    NothingMeasuredError where no host has come back yet.
    """
    if not files.measured:
        raise NothingMeasuredError(f"{files.path}: no host has come back yet")
    gated = [_read(host) for host in files.measured]
    facts = {host.name: facts_of(host) for host in files.measured}
    first = gated[0].verdict
    return FleetVerdict(
        kind="gate",
        label=files.fleet.label,
        against=first.baseline.name,
        candidate=first.candidate.name,
        rows=tuple(
            fleet_rows([host.name for host in files.hosts], gated, pools=not files.is_running)
        ),
        hosts=tuple(_result(host, gated) for host in files.hosts),
        counts=tuple(disagreements(_counts(gated), facts)),
        notes=told_once({one.host: one.verdict.notes for one in gated}),
        waiting=files.is_running,
    )


def _read(host: Host) -> Gated:
    assert host.path is not None, "only what came back is gated"
    verdict, run = read_verdict(host.path), host.run()
    evidence = Evidence()
    evidence.processes.files = run.files
    evidence.add(run.records)
    scenarios = [row.scenario for row in verdict.rows if row.metric == "time"]
    unsteady = drift_of(run)
    if not unsteady and verdict.sessions:
        unsteady = twin_differs(evidence, scenarios, rounds=max(1, verdict.sessions[0].planned))
    ratios = {}
    if BASELINE in run.allocators:  # of a saved one the rounds are of another day
        for row in (row for row in verdict.rows if row.row.measure.timed):
            values = evidence.values(row.row.measure, row.scenario)
            ratios[row.id] = count_log_ratios(values.candidate, values.base)
    return Gated(host.name, verdict, unsteady, ratios)


def _result(host: Host, gated: Sequence[Gated]) -> HostResult:
    found = next((one for one in gated if one.host == host.name), None)
    if found is None:
        return HostResult(name=host.name, status=host.entry.status, why=host.why)
    verdict = found.verdict
    fails = any(row.fails and row.outcome is Outcome.INCONCLUSIVE for row in verdict.rows)
    flagged = any(row.fails and row.outcome is Outcome.REGRESSED for row in verdict.rows)
    counts = verdict.fail_inconclusive
    return HostResult(
        name=host.name,
        status=host.entry.status,
        unsteady=found.unsteady,
        word=verdict.word,
        exit_code=verdict.exit_code,
        broken=bool(candidates_own(verdict.failures)),
        is_open=counts and verdict.is_open,
        must_tell=flagged or (counts and (fails or verdict.openness.blind)),
    )


# ---- Rows ------------------------------------------------------------------------------------


def fleet_rows(
    hosts: Sequence[str], gated: Sequence[Gated], *, pools: bool = True
) -> Iterator[FleetRow]:
    """The rows over all hosts of a fleet, of which some are gated. pools: none measures still."""
    ids = list(dict.fromkeys(row.id for one in gated for row in one.verdict.rows))
    planned = {row.id: row for one in gated for row in one.verdict.rows}
    by_name = {one.host: one for one in gated}
    standings = {
        row_id: [_standing(host, by_name.get(host), row_id) for host in hosts] for row_id in ids
    }
    for family in (True, False):
        chosen = [x for x in ids if planned[x].row.measure.timed is family]
        _name(standings, chosen)
    timed = [x for x in ids if planned[x].row.measure.timed]
    for row_id in ids:
        row = planned[row_id]
        yield FleetRow(
            metric=row.metric,
            scenario=row.scenario,
            allocator="",
            unit=row.unit,
            theta=row.first.theta,
            exact=not row.row.measure.timed,
            hosts=tuple(standings[row_id]),
            pooled=_pooled(row_id, gated, rows=len(timed)) if pools and row_id in timed else None,
        )


def _standing(host: str, gated: Gated | None, row_id: str) -> HostStanding:
    row = gated.row(row_id) if gated else None
    if gated is None or row is None:
        return HostStanding(
            host=host,
            standing=Standing.ABSENT,
            base=np.nan,
            candidate=np.nan,
            ratio=_NOTHING,
            rounds=0,
            dropped=0,
            p=1.0,
        )
    judged = row.again or row.first
    standing = _STANDINGS[row.outcome]
    if gated.unsteady and row.row.measure.timed:
        standing = Standing.UNSTEADY
    return HostStanding(
        host=host,
        standing=standing,
        base=judged.base,
        candidate=judged.candidate,
        ratio=judged.ratio,
        rounds=row.first.rounds,
        dropped=int(np.isnan(gated.ratios.get(row_id, np.empty(0))).sum()),
        p=_chance(gated.verdict, row) if standing is Standing.FLAGGED else 1.0,
    )


def _chance(verdict: GateVerdict, row: GateRow) -> float:
    """That both sessions call the row worse by chance, each over the rows of its family."""
    if row.again is None:
        return 1.0  # advice: nobody has confirmed it
    timed = row.row.measure.timed
    family = [one for one in verdict.rows if one.row.measure.timed is timed]
    first = EXACT_CHANCE if row.first.exact else ALPHA / len(family)
    if row.again.exact:
        return first * EXACT_CHANCE
    again = sum(one.again is not None for one in family)
    budget = verdict.sessions[-1].planned if timed else COUNT_BUDGET
    boundary = rank_boundary(2, budget, CONFIRM_ALPHA / again)
    return first * crossing_chance(boundary, row.again.rounds)


def _name(standings: dict[str, list[HostStanding]], rows: Sequence[str]) -> None:
    """Turns what is flagged into worse, where Holm rejects over these rows of all hosts."""
    places = [(x, i) for x in rows for i in range(len(standings[x]))]
    if not places:
        return
    adjusted = holm([standings[x][i].p for x, i in places])
    for (x, i), p in zip(places, adjusted, strict=True):
        if standings[x][i].standing is Standing.FLAGGED and p <= ALPHA:
            standings[x][i] = replace(standings[x][i], standing=Standing.WORSE)


def _pooled(row_id: str, gated: Sequence[Gated], *, rows: int) -> Pooled | None:
    steady = [one for one in gated if not one.unsteady]
    thetas = [row.first.theta for one in steady if (row := one.row(row_id))]
    if not thetas:
        return None
    return pooled_signs(
        {one.host: one.ratios[row_id] for one in steady if row_id in one.ratios},
        waves=max(one.verdict.sessions[0].planned for one in steady),
        theta=max(thetas),
        alpha=ALPHA * CONFIRM_ALPHA,
        rows=rows,
    )


def _counts(gated: Sequence[Gated]) -> Iterator[Count]:
    """What all processes of an arm say, host by host."""
    for one in gated:
        for row in one.verdict.rows:
            if row.first.exact:
                sides = (
                    (one.verdict.baseline.name, row.first.base),
                    (f"the candidate, {one.verdict.candidate.name}", row.first.candidate),
                )
                for arm, value in sides:
                    if np.isfinite(value):
                        yield Count(arm, row.metric, row.scenario, one.host, value)
