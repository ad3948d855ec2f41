"""Counts that must be the same on hosts that are alike.

System calls, mapped bytes, page faults and instructions follow from the allocator, the instruction
set, libc and the page size. Where every process of a host says one number, and another host with
the same three says another one, that is no noise: something else of the environment moves it, such
as huge pages, or the number of CPUs by which an allocator makes its arenas. The facts on which the
metric depends, and in which such hosts differ, are named beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from allocphase.analysis.metric_names import measure
from allocphase.fleet.standing import listed
from allocphase.machine.fingerprint import fact_text
from allocphase.text.line import plain
from allocphase.text.units import format_in

__all__ = ["ALIKE", "Count", "Disagreement", "disagreements", "telling_facts"]

# Hosts with the same of these must count the same.
ALIKE = ("machine", "libc", "page_bytes")
# Longer facts (what a kernel mitigates) are named without their values.
_SHORT = 40

Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Count:
    """What all processes of an arm agree on, on one host."""

    arm: str
    metric: str
    scenario: str
    host: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One count of one arm on hosts that are alike. values: by value, its hosts, the most first.
    differing: the facts that may explain it, each with its values where they are short.
    """

    arm: str
    metric: str
    scenario: str
    values: tuple[tuple[float, tuple[str, ...]], ...]
    differing: tuple[str, ...]

    @property
    def text(self) -> str:
        """ "syscalls:churn of mine: 12 on a; 14 on c: they differ in cpus (2 on a, 8 on c)"."""
        unit = measure(self.metric).unit
        told = (f"{format_in(unit, value)} on {listed(hosts)}" for value, hosts in self.values)
        reason = "; ".join(self.differing)
        end = f"they differ in {reason}" if reason else "no known fact of theirs differs"
        return f"{self.metric}:{self.scenario} of {self.arm}: {'; '.join(told)}: {end}"


def disagreements(counts: Iterable[Count], facts: Mapping[str, Facts]) -> list[Disagreement]:
    """In the order of the counts. facts: by host, of its machine."""
    by_row: dict[tuple[object, ...], dict[str, float]] = {}
    for one in counts:
        alike = tuple(str(facts[one.host].get(name)) for name in ALIKE)
        row = by_row.setdefault((one.arm, one.metric, one.scenario, alike), {})
        row[one.host] = one.value
    return [
        _disagreement(str(arm), str(metric), str(scenario), values, facts)
        for (arm, metric, scenario, _), values in by_row.items()
        if len(set(values.values())) > 1
    ]


def _disagreement(
    arm: str, metric: str, scenario: str, values: Mapping[str, float], facts: Mapping[str, Facts]
) -> Disagreement:
    hosts_of: dict[float, list[str]] = {}
    for host, value in values.items():
        hosts_of.setdefault(value, []).append(host)
    groups = sorted(hosts_of.items(), key=lambda group: -len(group[1]))
    return Disagreement(
        arm=arm,
        metric=metric,
        scenario=scenario,
        values=tuple((value, tuple(hosts)) for value, hosts in groups),
        differing=tuple(
            telling_facts(measure(metric).facts, [hosts for _, hosts in groups], facts)
        ),
    )


def telling_facts(
    names: Iterable[str], groups: Sequence[Sequence[str]], facts: Mapping[str, Facts]
) -> Iterator[str]:
    """Those that tell groups of hosts apart: no value in one group is one in another.

    "cpus (4 on a, 8 on b)"; of long values the name alone.
    """
    for fact in names:
        seen = [{plain(fact_text(facts[host].get(fact))) for host in hosts} for hosts in groups]
        if any(a & b for i, a in enumerate(seen) for b in seen[i + 1 :]):
            continue
        texts = [" or ".join(sorted(values)) for values in seen]
        short = all(len(text) <= _SHORT for text in texts)
        told = (f"{text} on {listed(hosts)}" for text, hosts in zip(texts, groups, strict=True))
        yield f"{fact} ({', '.join(told)})" if short else fact
