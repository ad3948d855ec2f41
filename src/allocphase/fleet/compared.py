"""A fleet's run: every host's cells against their baseline's, as `compare` does for one run.

The rows of all hosts are one family for each kind (times, counts): Holm's correction is over hosts
and rows together, so that the chance that any row of any host is called worse by chance is that of
a single `compare`. Beside it the pooled signs of the times, over the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from allocphase.analysis.metric_names import compared, measure
from allocphase.compare.compare import CompareSettings, compared_metrics
from allocphase.compare.pairs import within_run
from allocphase.compare.rows import ALPHA, CompareRow, WantedRow, compared_rows, wanted_rows
from allocphase.errors import NothingMeasuredError
from allocphase.fleet.agreeing import Count, disagreements
from allocphase.fleet.canary import drift_of
from allocphase.fleet.hosts import FleetFiles, Host, facts_of
from allocphase.fleet.standing import FleetRow, HostStanding, Pooled, Standing, pooled_signs
from allocphase.fleet.verdict import FleetVerdict, HostResult, told_once
from allocphase.stats import Interval, Verdict
from allocphase.stats.values import FloatArray, count_log_ratios

__all__ = ["compare_fleet"]

_STANDINGS = {
    Verdict.REGRESSED: Standing.WORSE,
    Verdict.IMPROVED: Standing.BETTER,
    Verdict.UNCHANGED: Standing.NOT_WORSE,
    Verdict.INCONCLUSIVE: Standing.OPEN,
    None: Standing.ABSENT,
}

Key = tuple[str, str, str]  # allocator, scenario, metric


@dataclass(frozen=True, slots=True)
class _Compared:
    """One host's rows before they are judged, by key, and what is known of the host."""

    host: Host
    against: str
    unsteady: str
    notes: tuple[str, ...]
    wanted: Mapping[Key, WantedRow]


def compare_fleet(files: FleetFiles, settings: CompareSettings) -> FleetVerdict:
    """Raises as `compare.compare_runs` for a host's run, and NothingMeasuredError where no host has
    come back, or nothing of them can be compared.
    """
    if not files.measured:
        raise NothingMeasuredError(f"{files.path}: no host has come back yet")
    found = [_of_host(host, settings) for host in files.measured]
    facts = {host.name: facts_of(host) for host in files.measured}
    rows = _rows(files, found)
    if not rows:
        raise NothingMeasuredError(f"{files.path}: there is nothing to compare")
    return FleetVerdict(
        kind="run",
        label=files.fleet.label,
        against=found[0].against,
        candidate="",
        rows=tuple(rows),
        hosts=tuple(_result(host, found) for host in files.hosts),
        counts=tuple(disagreements(_counts(found), facts)),
        notes=told_once({one.host.name: one.notes for one in found}),
        waiting=files.is_running,
    )


def _of_host(host: Host, settings: CompareSettings) -> _Compared:
    run = host.run()
    pairs = within_run(run, settings.baseline)
    wanted = wanted_rows(
        pairs.pairs,
        metrics=compared_metrics([run], settings),
        holds=pairs.holds,
        theta=settings.theta,
        memory_theta=settings.memory_theta,
    )
    by_key = {(one.allocator, one.scenario, one.one.name): one for one in wanted}
    notes = (*pairs.notes, *run.files.notes())
    return _Compared(host, pairs.against, drift_of(run), notes, by_key)


def _result(host: Host, found: Sequence[_Compared]) -> HostResult:
    mine = next((one for one in found if one.host.name == host.name), None)
    return HostResult(
        name=host.name,
        status=host.entry.status,
        why=host.why,
        unsteady=mine.unsteady if mine else "",
    )


def _rows(files: FleetFiles, found: Sequence[_Compared]) -> list[FleetRow]:
    keys = list(dict.fromkeys(key for one in found for key in one.wanted))
    # What is not believed is in no family.
    places = [
        (one.host.name, key)
        for one in found
        for key, wanted in one.wanted.items()
        if not (one.unsteady and wanted.one.timed)
    ]
    by_name = {one.host.name: one for one in found}
    judged = compared_rows([by_name[host].wanted[key] for host, key in places])
    by_place = dict(zip(places, judged, strict=True))
    timed = [key for key in keys if compared(key[2]).timed]
    rows = []
    for allocator, scenario, metric in keys:
        key = (allocator, scenario, metric)
        standings = [_standing(host.name, by_name, by_place, key) for host in files.hosts]
        any_row = next((row for host in by_name if (row := by_place.get((host, key)))), None)
        pooled = None
        if key in timed and not files.is_running:
            pooled = _pooled(key, found, rows=len(timed))
        rows.append(
            FleetRow(
                metric=metric,
                scenario=scenario,
                allocator=allocator,
                unit=measure(metric).unit,
                theta=any_row.theta if any_row else np.nan,
                exact=key not in timed,
                hosts=tuple(standings),
                pooled=pooled,
            )
        )
    return rows


def _standing(
    host: str,
    by_name: Mapping[str, _Compared],
    by_place: Mapping[tuple[str, Key], CompareRow],
    key: Key,
) -> HostStanding:
    wanted = by_name[host].wanted.get(key) if host in by_name else None
    row = by_place.get((host, key))
    if wanted is None or row is None:
        spoiled = wanted is not None
        return HostStanding(
            host=host,
            standing=Standing.UNSTEADY if spoiled else Standing.ABSENT,
            base=np.nan,
            candidate=np.nan,
            ratio=Interval(np.nan, -np.inf, np.inf, np.nan),
            rounds=0,
            dropped=0,
            p=1.0,
        )
    return HostStanding(
        host=host,
        standing=_STANDINGS[row.verdict],
        base=row.base,
        candidate=row.candidate,
        ratio=row.ratio,
        rounds=row.pairs,
        dropped=int(np.isnan(_log_ratios(wanted)).sum()) if row.timed else 0,
        p=1.0,
    )


def _log_ratios(wanted: WantedRow) -> FloatArray:
    rounds = wanted.rounds()
    return count_log_ratios(np.asarray(rounds.candidate), np.asarray(rounds.base))


def _pooled(key: Key, found: Sequence[_Compared], *, rows: int) -> Pooled | None:
    """None also of a candidate that is broken on a host: no number of times makes it the better."""
    if any(one.wanted[key].broken for one in found if key in one.wanted):
        return None
    ratios = {
        one.host.name: _log_ratios(one.wanted[key])
        for one in found
        if key in one.wanted and not one.unsteady
    }
    if not ratios:
        return None
    theta = max(one.wanted[key].theta for one in found if key in one.wanted)
    waves = max(x.size for x in ratios.values())
    return pooled_signs(ratios, waves=max(1, waves), theta=theta, alpha=ALPHA, rows=rows)


def _counts(found: Sequence[_Compared]) -> Iterator[Count]:
    """What all processes of an arm say, host by host; the baseline's once."""
    seen = set()
    for one in found:
        for (allocator, scenario, metric), wanted in one.wanted.items():
            if not wanted.is_exact:
                continue
            for arm, values in ((one.against, wanted.base), (allocator, wanted.candidate)):
                place = (one.host.name, arm, scenario, metric)
                if place not in seen and values.size:
                    seen.add(place)
                    yield Count(arm, metric, scenario, one.host.name, float(values[0]))
