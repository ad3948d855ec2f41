"""The table of `allocphase selftest`, and its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from allocphase.judge.outcome import Outcome
from allocphase.judge.render.words import percent
from allocphase.selftest.trials import Trial
from allocphase.stats import Interval, proportion_interval

__all__ = ["document", "table"]

SCHEMA = 1
_HEAD = ("injected", "measured", "found", "share", "95% interval", "rounds", "time")


def table(trials: Sequence[Trial], *, theta: float) -> str:
    """A line an effect, and what it means."""
    return "\n".join(_lines(_by_effect(trials), theta))


def document(trials: Sequence[Trial], *, theta: float) -> dict[str, Any]:
    """Plain values; shares with their exact intervals."""
    entries = []
    for effect, group in _by_effect(trials).items():
        share = _share(group)
        entries.append(
            {
                "effect": effect,
                "injected": group[0].injected,
                "sessions": len(group),
                "regressed": sum(trial.alarm for trial in group),
                "share": share.estimate,
                "interval": [share.lower, share.upper],
                "outcomes": [trial.outcome.value for trial in group],
                "measured_ratios": [trial.ratio for trial in group],
                "seconds": [round(trial.seconds, 2) for trial in group],
            }
        )
    return {"schema": SCHEMA, "theta": theta, "effects": entries}


def _by_effect(trials: Sequence[Trial]) -> Mapping[float, list[Trial]]:
    groups: dict[float, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.effect, []).append(trial)
    return groups


def _share(group: Sequence[Trial]) -> Interval:
    return proportion_interval(sum(trial.alarm for trial in group), len(group))


def _lines(groups: Mapping[float, list[Trial]], theta: float) -> Iterator[str]:
    widths = (9, 9, 9, 6, 14, 7, 7)
    yield "".join(f"{text:>{width}}" for text, width in zip(_HEAD, widths, strict=True))
    for group in groups.values():
        cells = zip(_cells(group), widths, strict=True)
        yield "".join(f"{text:>{width}}" for text, width in cells)
    yield ""
    yield from _meaning(groups, theta)


def _cells(group: Sequence[Trial]) -> tuple[str, ...]:
    share = _share(group)
    measured = float(np.median([trial.ratio for trial in group])) - 1.0
    return (
        f"+{percent(group[0].injected)}" if group[0].effect else "nothing",
        percent(measured, signed=True),
        f"{sum(trial.alarm for trial in group)} of {len(group)}",
        f"{share.estimate:.0%}",
        f"{share.lower:.0%} to {share.upper:.0%}",
        f"{np.median([trial.rounds for trial in group]):.0f}",
        f"{np.median([trial.seconds for trial in group]):.0f} s",
    )


def _meaning(groups: Mapping[float, list[Trial]], theta: float) -> Iterator[str]:
    harmless = [t for effect, group in groups.items() if effect <= theta for t in group]
    alarms = sum(trial.alarm for trial in harmless)
    share = proportion_interval(alarms, len(harmless))
    yield (
        f"False alarms at a limit of {percent(theta)}: {alarms} of {len(harmless)} gates without a "
        f"slowdown above it"
    )
    yield f"({share.lower:.0%} to {share.upper:.0%} with 95% confidence)."
    trials = [trial for group in groups.values() for trial in group]
    if still_open := sum(trial.outcome is Outcome.INCONCLUSIVE for trial in trials):
        yield f"{still_open} gates were inconclusive: their rounds could not tell."
    seen = [e for e, g in groups.items() if e > theta and all(trial.alarm for trial in g)]
    if seen:
        yield f"The least slowdown that was found every time: +{percent(min(seen))}."
    else:
        yield "No slowdown was found every time: raise --theta, or use a quieter machine."
