"""Limits: from which ratio on a metric of a scenario counts as worse.

    METRIC=SHARE            time=3%, time=0.03
    METRIC=SHARE:SCENARIO   p99=10%:larson*
    METRIC=exact            page_faults=exact
    METRIC=off              syscalls*=off

A share has a % or is below 1 (text/share.py). METRIC and SCENARIO are globs; of several that match,
the last one holds. METRIC is a short name (peak_rss) or the one of `--json` (peak_rss_bytes): a
glob is of the latter where it fits none of the former. A file that is kept in the repository has
the same lines: `limits = ["time=3%", "p99=10%:larson*"]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from allocphase.analysis.measures import CALL_PREFIX, CALL_PREFIXES, MEASURES, Measure
from allocphase.analysis.metric_names import compared, measure
from allocphase.errors import UsageError, shown, unknown
from allocphase.files.typed import Amount, load_toml
from allocphase.text.share import parse_share

__all__ = ["Limit", "Limits", "Rule", "of_itself", "parse_limit", "read_limits"]

# Behind which `--json` has calls by name.
_CALL_PATHS = tuple(
    measure(f"{prefix}<call>").path.removesuffix("<call>") for prefix in CALL_PREFIXES
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What counts as worse: a ratio above 1 + theta; `exact`: any count above the baseline's.

    `theta` of an exact rule is what holds where the count is not deterministic. `named`: the user
    gave it. `required`: for this very row, so that a session that cannot decide it fails.
    """

    theta: Amount
    exact: bool
    named: bool
    required: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """One line. `rule` is "exact", "off", or a share as written; `share` its value, or None.

    `metric` is a short name, or a glob: of short names, or of paths if `by_path`.
    """

    metric: str
    scenario: str
    rule: str
    share: float | None
    by_path: bool = False

    def matches(self, one: Measure, scenario: str) -> bool:
        """Whether the line speaks of that row."""
        name = one.path if self.by_path else one.name
        return fnmatchcase(name, self.metric) and fnmatchcase(scenario, self.scenario)

    @property
    def names_one_row(self) -> bool:
        """Whether it speaks of one metric of one scenario, by their names."""
        return not _is_glob(self.metric) and not _is_glob(self.scenario)

    def __str__(self) -> str:
        return f"{self.metric}={self.rule}" + ("" if self.scenario == "*" else f":{self.scenario}")


@dataclass(frozen=True, slots=True)
class Limits:
    """The default shares and the user's lines, in order. chosen: lines that an option stands for;
    the user's come after them, and nobody is told of those that speak of no row.
    """

    theta: float = 0.02
    memory_theta: float = 0.05
    lines: tuple[Limit, ...] = ()
    chosen: tuple[Limit, ...] = ()

    def rule(self, one: Measure, scenario: str) -> Rule | None:
        """The rule of one row; None: it is not gated."""
        spoken_of = [one]
        if one.name.startswith(CALL_PREFIX):
            spoken_of.append(MEASURES["syscalls"])  # what holds for all calls holds for each
        lines = (*self.chosen, *self.lines)
        matching = [x for x in lines if any(x.matches(y, scenario) for y in spoken_of)]
        if not matching:
            return self._default(one)
        chosen = matching[-1]
        if chosen.rule == "off":
            return None
        given = {"named": True, "required": chosen.names_one_row}
        if chosen.share is None:
            return None if one.timed else Rule(self._spread(one), exact=True, **given)
        return Rule(chosen.share, exact=False, **given)

    def named_members(self) -> list[str]:
        """The members of families that the lines name in full, single system calls and such, as
        measures are named.
        """
        names = dict.fromkeys(line.metric for line in self.lines if not line.by_path)
        return [name for name in names if name not in MEASURES and not _is_glob(name)]

    def unused(self, places: Sequence[tuple[Measure, str]]) -> list[str]:
        """The lines that speak of none of these, a metric on a scenario each."""
        return [
            str(line) for line in self.lines if not any(line.matches(*place) for place in places)
        ]

    def _default(self, one: Measure) -> Rule | None:
        if one.rule == "off":
            return None
        if one.timed:
            return Rule(self.theta, exact=False, named=False)
        return Rule(self._spread(one), exact=one.rule == "exact", named=False)

    def _spread(self, one: Measure) -> float:
        return self.memory_theta if one.spread is None else one.spread


def of_itself(scenario: str) -> str:
    """The glob that a scenario's name matches, and no other one's: a [ would begin a set."""
    return scenario.replace("[", "[[]")


def parse_limit(text: str) -> Limit:
    """One line of the grammar above. Raises UsageError."""
    metric, equals, rest = text.partition("=")
    rule, _, scenario = rest.partition(":")
    metric, rule, scenario = metric.strip(), rule.strip(), scenario.strip() or "*"
    if not equals or not metric or not rule:
        raise UsageError(f"limit {shown(text)}: is written METRIC=SHARE%|exact|off[:SCENARIO]")
    try:
        name, matched, by_path = _meant(metric)
    except UsageError as error:
        raise UsageError(f"limit {shown(text)}: {error}") from None
    share = None if rule in ("exact", "off") else _share(text, rule)
    if rule == "exact" and any(found.timed for found in matched):
        raise UsageError(f"limit {shown(text)}: a time is never exact: give a share such as 2%")
    return Limit(name, scenario, rule, share, by_path)


def _is_glob(name: str) -> bool:
    """A scenario's parameters come after a ? too, and have a = in them."""
    return bool(set("*[") & set(name)) or ("?" in name and "=" not in name)


def _meant(metric: str) -> tuple[str, list[Measure], bool]:
    """What a Limit has for it, the measures that it fits before a run, and whether by path.

    Raises UsageError where it can fit none.
    """
    if not _is_glob(metric):
        one = compared(metric)
        return one.name, [one], False
    named = [one for one in MEASURES.values() if fnmatchcase(one.name, metric)]
    if named or (metric.startswith(CALL_PREFIXES) and not metric.startswith(_CALL_PATHS)):
        return metric, named, False
    found = [one for one in MEASURES.values() if fnmatchcase(one.path, metric)]
    if not found and not metric.startswith(_CALL_PATHS):
        raise UsageError(unknown("metric", metric, MEASURES))
    return metric, found, True


def _share(text: str, rule: str) -> float:
    try:
        return parse_share(rule)
    except ValueError as error:
        problem = f"{shown(rule)} is neither exact nor off, and {error}"
        raise UsageError(f"limit {shown(text)}: {problem}") from None


@dataclass(frozen=True, slots=True)
class _LimitsFile:
    limits: tuple[str, ...] = ()


def read_limits(path: Path) -> tuple[Limit, ...]:
    """The lines of a limits file. Raises UsageError with the file and the key."""
    lines = load_toml(_LimitsFile, path).limits
    try:
        return tuple(parse_limit(line) for line in lines)
    except UsageError as error:
        raise UsageError(f"{path}: limits: {error}") from None
