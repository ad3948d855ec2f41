"""The result of a fleet: rows over hosts, what is known of each host, and the exit code of a gate.

One object for every renderer; `render/export.py` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

from allocphase.files.typed import Count
from allocphase.fleet.agreeing import Disagreement
from allocphase.fleet.standing import FleetRow, listed
from allocphase.hosts.document import HostStatus
from allocphase.judge.openness import ERROR
from allocphase.text.units import counted

__all__ = ["FleetVerdict", "HostResult", "told_once", "too_many_open"]

# Of the hosts that came back: with fewer the fleet has not looked.
LEAST_STEADY = 0.75
# Of notes that are not all hosts' so many are told; each host's own report has its own.
_MOST_NOTES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HostResult:
    """One host. why: of one that is not at hand. unsteady: how its canary moved. word, exit_code:
    of its own gate. broken: its candidate crashed or the like, and the baseline did not. is_open:
    its gate is inconclusive; must_tell: for more than what chance leaves open now and then.
    """

    name: str
    status: HostStatus
    why: str = ""
    unsteady: str = ""
    word: str = ""
    exit_code: Count = 0
    broken: bool = False
    is_open: bool = False
    must_tell: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetVerdict:
    """Everything a reader is told. against: the baseline. waiting: hosts are still measuring, so
    that nothing is pooled.
    """

    kind: str
    label: str
    against: str
    candidate: str
    rows: tuple[FleetRow, ...]
    hosts: tuple[HostResult, ...]
    counts: tuple[Disagreement, ...]
    notes: tuple[str, ...]
    waiting: bool

    @property
    def judged(self) -> list[HostResult]:
        """The hosts whose times count."""
        return [host for host in self.hosts if not host.why and not host.unsteady]

    @property
    def exit_code(self) -> int:
        """Of a gate, the first that holds: 3 worse or broken somewhere, 5 a host not measured, 4
        inconclusive, else 0. Of a run always 0: to compare is not to gate.
        """
        if self.kind != "gate":
            return 0
        if any(row.is_worse for row in self.rows) or any(host.broken for host in self.hosts):
            return 3
        if any(host.why or host.exit_code == 5 for host in self.hosts) or not self.judged:
            return 5
        return 4 if self.is_open else 0

    @property
    def is_open(self) -> bool:
        """Whether a host's gate must tell and cannot, or more of them cannot than chance leaves so,
        or a row was flagged and is neither named nor cleared, or too few hosts were steady.
        """
        came_back = [host for host in self.hosts if not host.why]
        if any(host.must_tell for host in self.hosts):
            return True
        if len(self.judged) < LEAST_STEADY * len(came_back):
            return True
        return too_many_open(sum(host.is_open for host in self.judged), len(self.judged))

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        if self.exit_code == 3:
            worse = any(row.is_worse for row in self.rows)
            return "worse" if worse else "candidate is broken"
        return {5: "not measured", 4: "inconclusive"}.get(self.exit_code, "passed")


def told_once(by_host: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The hosts' notes, each with the hosts that have it; what all of them say without."""
    hosts_of: dict[str, list[str]] = {}
    for host, notes in by_host.items():
        for note in dict.fromkeys(notes):
            hosts_of.setdefault(note, []).append(host)
    shared = [note for note, hosts in hosts_of.items() if len(hosts) == len(by_host)]
    own = [f"{listed(hosts)}: {n}" for n, hosts in hosts_of.items() if len(hosts) < len(by_host)]
    more = [f"and {counted(len(own) - _MOST_NOTES, 'more note')} of single hosts"]
    return (*shared, *own[:_MOST_NOTES], *(more if len(own) > _MOST_NOTES else ()))


def too_many_open(found: int, hosts: int, *, error: float = ERROR) -> bool:
    """Whether so many of the hosts' gates are inconclusive that chance is no excuse.

    A gate of which nothing changed is inconclusive with probability `error` (judge/openness.py).
    """
    tail = sum(_binomial(k, hosts, error) for k in range(found, hosts + 1))
    return found > 0 and tail < error


def _binomial(k: int, n: int, p: float) -> float:
    return float(comb(n, k) * p**k * (1.0 - p) ** (n - k))
