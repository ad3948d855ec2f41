"""The catalogue of metrics: what is told of a cell, under which names, and how a figure is read.

Each has two names that stand for the same, and either is taken wherever a user names a metric:

    name    short, what people type and what rows are called     time    peak_rss        p99
    path    the one of `--json`, with its unit, dots for levels  time_per_op_ns  peak_rss_bytes  ...

Tables, help texts and checks of names elsewhere are made from CATALOGUE. To add a metric: a line
there, and in docs/schema.md; in metrics.py its computation, if `--json` does not have it yet.

One process gives one number of each. A timed one is sampled over rounds; a counted one is the same
in every process where the allocator is deterministic, and is compared as it stands.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from allocphase.errors import UsageError, unknown
from allocphase.operation import LATENCY_KINDS
from allocphase.probe.probe import Probe

__all__ = [
    "CALL_PREFIX",
    "CATALOGUE",
    "COMPARED_NAMES",
    "MEASURES",
    "QUANTILES",
    "STATISTICS",
    "Measure",
    "compared",
    "is_compared",
    "measure",
    "value_at",
]

# "syscalls.mmap" is the measure of one system call; "syscalls" that of all of them.
CALL_PREFIX = "syscalls."
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999}
STATISTICS = (*QUANTILES, "max", "mean")
PHASES = ("init", "operation", "teardown", "threads")

# What may stand for a placeholder in a name; an empty collection is any word.
_PLACES: Mapping[str, Collection[str]] = {
    "kind": LATENCY_KINDS,
    "statistic": STATISTICS,
    "phase": PHASES,
    "probe": tuple(probe.value for probe in Probe),
    "quantile": tuple(QUANTILES),
    "cause": (),
    "call": (),
    "stat": (),
}
_PLACE = re.compile("<([a-z]+)>")

Metrics = Mapping[str, Any]  # as `--json` has them, of a cell or of one process
Reader = Callable[[Metrics, str], Any]


def value_at(metrics: Metrics, path: str) -> Any:
    """What stands at a path, None where there is nothing. A last level may have dots itself."""
    if path in metrics:
        return metrics[path]
    first, _, rest = path.partition(".")
    below = metrics.get(first)
    return value_at(below, rest) if rest and isinstance(below, Mapping) else None


def _calls(metrics: Metrics, path: str) -> Any:
    """A phase's calls added up, or one of them: 0 where it was not made, None where none is seen.

    path: "syscalls.operation", "syscalls.operation.mmap".
    """
    root, phase, *call = path.split(".")
    counts = value_at(metrics, f"{root}.{phase}")
    if counts is None:
        return None
    return counts.get(call[0], 0) if call else sum(counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric, or a family of them: its names then have placeholders, such as <kind>.

    unit: ns, bytes, count, rate (per operation or second), share (of a whole), ratio, excess (a
    ratio less 1), or "" of what is no number. probe: whose processes give it. heading: of a column.
    rule: the default limit, as `--limit` writes it ("memory": that of resident memory); None: it
    cannot be compared. usual: `compare` shows it unless told otherwise. claimed: claims may ask
    for it: each process of the cell gives one number by itself, a time only if the probe is timed.
    interval: `--json` has its interval beside it, under its path and `_interval`.
    """

    name: str
    path: str
    title: str
    unit: str
    probe: Probe
    heading: str = ""
    rule: str | None = None
    usual: bool = False
    claimed: bool = True
    interval: bool = False
    reader: Reader = value_at

    @property
    def timed(self) -> bool:
        """Whether it varies from process to process and is tested over rounds."""
        return self.probe.timed

    @property
    def is_family(self) -> bool:
        """Whether its names have placeholders."""
        return "<" in self.name

    def read(self, metrics: Metrics) -> float:
        """The one number, in `unit`, of a process's metrics or of a cell's; NaN without one."""
        value = self.reader(metrics, self.path)
        return math.nan if value is None else float(value)


def _time(name: str, path: str, title: str, **more: Any) -> Measure:
    return Measure(name=name, path=path, title=title, unit="ns", probe=Probe.THROUGHPUT, **more)


def _latency(name: str, path: str, title: str, **more: Any) -> Measure:
    return Measure(name=name, path=path, title=title, unit="ns", probe=Probe.LATENCY, **more)


def _quantile(name: str) -> Measure:
    told = name.replace("_", ".")
    title = f"{told} of malloc's latency in a process"
    return _latency(name, f"latency_ns.malloc.{name}", title, heading=told, rule="off")


def _counted(name: str, path: str, title: str, **more: Any) -> Measure:
    return Measure(
        name=name, path=path, title=title, unit="count", probe=Probe.SYSCALLS, reader=_calls, **more
    )


def _bytes(name: str, title: str, **more: Any) -> Measure:
    """Of the memory probe."""
    return Measure(
        name=name, path=f"{name}_bytes", title=title, unit="bytes", probe=Probe.MEMORY, **more
    )


def _cause(name: str, title: str, unit: str) -> Measure:
    """Takes the latency probe and the syscalls probe together."""
    return Measure(name=name, path=name, title=title, unit=unit, probe=Probe.LATENCY, claimed=False)


# Of several that fit a name the first is meant.
CATALOGUE = (
    _time(
        "time",
        "time_per_op_ns",
        "time per operation",
        heading="time/op",
        rule="2%",
        usual=True,
        interval=True,
    ),
    _time("build_time", "build_time_per_op_ns", "time per operation of the build part", rule="off"),
    _time("cold_time", "cold_time_per_op_ns", "time per operation of the first replay"),
    _time("helper_time", "helper_ns_per_op", "CPU time of the allocator's own threads"),
    Measure(
        name="ops_per_second",
        path="ops_per_second",
        title="operations a second",
        unit="rate",
        probe=Probe.THROUGHPUT,
    ),
    Measure(
        name="thread_time",
        path="thread_time_per_op_ns",
        title="time per operation of each thread",
        unit="ns",
        probe=Probe.THROUGHPUT,
        claimed=False,
    ),
    Measure(
        name="pass.<probe>",
        path="pass_ns.<probe>",
        title="cold pass under <probe>",
        unit="ns",
        probe=Probe.THROUGHPUT,
        claimed=False,
    ),
    _time("floor", "floor_ns", "time per operation of the null allocator", claimed=False),
    Measure(
        name="replay_share",
        path="replay_share",
        title="replay's share of the time",
        unit="share",
        probe=Probe.THROUGHPUT,
        heading="replay",
        claimed=False,
    ),
    *(_quantile(name) for name in QUANTILES),
    _latency(
        "latency.<kind>.<statistic>",
        "latency_ns.<kind>.<statistic>",
        "<statistic> of <kind>'s latency",
        heading="<statistic>",
    ),
    _latency(
        "first_touch.<statistic>",
        "first_touch_ns.<statistic>",
        "<statistic> of the first write to new memory",
    ),
    _latency("clock_floor", "clock_floor_ns", "what reading the clock costs"),
    _latency("clock_step", "clock_step_ns", "the clock's step"),
    _cause("outlier_causes.<quantile>", "causes of calls above <quantile>", "share"),
    _cause("cause_calls.<cause>", "timed calls with <cause>", "count"),
    _cause("cause_cost_ratio.<cause>", "what <cause> costs", "ratio"),
    _counted(
        "syscalls", "syscalls.operation", "system calls in operation", rule="exact", usual=True
    ),
    _counted("syscalls.<phase>", "syscalls.<phase>", "system calls in <phase>"),
    _counted(
        "syscalls.<call>", "syscalls.operation.<call>", "calls of <call> in operation", rule="exact"
    ),
    _counted("syscalls.<phase>.<call>", "syscalls.<phase>.<call>", "calls of <call> in <phase>"),
    Measure(
        name="syscalls_per_op",
        path="syscalls_per_op",
        title="system calls an operation",
        unit="rate",
        probe=Probe.SYSCALLS,
        heading="sys/op",
    ),
    Measure(
        name="thread_syscalls",
        path="thread_syscalls",
        title="system calls of each thread",
        unit="count",
        probe=Probe.SYSCALLS,
        claimed=False,
    ),
    Measure(
        name="syscall_backend",
        path="syscall_backend",
        title="how system calls are seen",
        unit="",
        probe=Probe.SYSCALLS,
        claimed=False,
    ),
    _bytes("peak_live", "peak live bytes", heading="peak live", rule="exact"),
    _bytes(
        "peak_mapped",
        "peak mapped bytes",
        heading="peak mapped",
        rule="exact",
        usual=True,
        interval=True,
    ),
    Measure(
        name="page_faults",
        path="page_faults",
        title="page faults in operation",
        unit="count",
        probe=Probe.MEMORY,
        heading="faults",
        rule="exact",
        usual=True,
        interval=True,
    ),
    _bytes(
        "peak_rss",
        "peak resident bytes",
        heading="peak RSS",
        rule="memory",
        usual=True,
        interval=True,
    ),
    _bytes(
        "rss_after_free",
        "resident bytes after the last free",
        heading="RSS, all freed",
        interval=True,
    ),
    _bytes("lazily_freed", "bytes freed but still resident", heading="of it lazily freed"),
    _bytes("mapped_after_free", "mapped bytes after the last free", heading="mapped, all freed"),
    _bytes("rss_after_teardown", "resident bytes after fini", heading="RSS after teardown"),
    _bytes("mapped_after_teardown", "mapped bytes after fini", heading="mapped after teardown"),
    Measure(
        name="startup_rss",
        path="startup_rss_bytes",
        title="resident bytes before init, over libc's",
        unit="bytes",
        probe=Probe.MEMORY,
        heading="RSS at start, over libc",
        claimed=False,
    ),
    Measure(
        name="page_faults_in_calls",
        path="page_faults_in_calls",
        title="page faults in calls",
        unit="count",
        probe=Probe.FAULTS,
    ),
    Measure(
        name="fragmentation",
        path="fragmentation",
        title="fragmentation: peak RSS over peak live bytes, less 1",
        unit="excess",
        probe=Probe.MEMORY,
        heading="frag",
    ),
    Measure(
        name="allocator_stats.<stat>",
        path="allocator_stats.<stat>",
        title="<stat>, as the allocator says",
        unit="count",
        probe=Probe.SYSCALLS,
    ),
    Measure(
        name="verified",
        path="verified",
        title="whether verify found nothing",
        unit="count",
        probe=Probe.VERIFY,
    ),
)
# Those that can be compared and gated, by short name; system calls by name come on top.
MEASURES = {one.name: one for one in CATALOGUE if one.rule is not None and not one.is_family}
COMPARED_NAMES = tuple(one.name for one in CATALOGUE if one.rule is not None)

_BY_EITHER_NAME = {
    name: one for one in reversed(CATALOGUE) if not one.is_family for name in (one.path, one.name)
}
_FAMILIES = tuple(one for one in CATALOGUE if one.is_family)


def measure(name: str) -> Measure:
    """The metric of that name or path, one of a family included. Raises UsageError."""
    found = _find(name)
    if found is None:
        raise UsageError(_unknown(name, CATALOGUE))
    return found


def compared(name: str) -> Measure:
    """The same of those that can be compared and gated. Raises UsageError."""
    found = _find(name)
    if found is not None and found.rule is not None:
        return found
    problem = _unknown(name, [one for one in CATALOGUE if one.rule is not None])
    if found is not None:
        names = ", ".join(COMPARED_NAMES)
        problem = f"metric {name!r} can be neither compared nor gated; these can: {names}"
    raise UsageError(problem)


def is_compared(name: str) -> bool:
    """Whether there is a metric of that name that can be compared and gated."""
    found = _find(name)
    return found is not None and found.rule is not None


def _find(name: str) -> Measure | None:
    if name in _BY_EITHER_NAME:
        return _BY_EITHER_NAME[name]
    members = (_member(one, pattern, name) for one in _FAMILIES for pattern in (one.name, one.path))
    found = next((member for member in members if member is not None), None)
    return None if found is None else _BY_EITHER_NAME.get(found.path, found)


def _member(family: Measure, pattern: str, name: str) -> Measure | None:
    """The one of a family that a name means, None where it means none of it."""
    parts, given = pattern.split("."), name.split(".", pattern.count("."))
    if len(parts) != len(given):
        return None
    filled = {}
    for part, word in zip(parts, given, strict=True):
        place = part.strip("<>")
        if not (_fits(place, word) if place != part else part == word):
            return None
        filled[place] = word
    return _filled(family, filled)


def _fits(place: str, word: str) -> bool:
    if place == "call":
        # Any word may be a system call, and one that was not made counts 0: a slip in the name of
        # a phase must not. The nearest real call is read, at 0.73 of "threads".
        near = difflib.get_close_matches(word, PHASES, n=1, cutoff=0.8)
        return bool(word) and "." not in word and not near
    return word in _PLACES[place] if _PLACES[place] else bool(word)


def _filled(family: Measure, words: Mapping[str, str]) -> Measure:
    def fill(text: str) -> str:
        return _PLACE.sub(lambda found: words[found[1]], text)

    return replace(
        family,
        name=fill(family.name),
        path=fill(family.path),
        title=fill(family.title),
        heading=fill(family.heading).replace("_", "."),
        probe=Probe(words["probe"]) if words.get("probe") in _PLACES["probe"] else family.probe,
    )


def _unknown(name: str, among: Collection[Measure]) -> str:
    """One line with the nearest of all names and paths; the short names where none is near."""
    known = [text for one in among for text in _spelled(one)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return unknown("metric", name, near or [one.name for one in among])


def _spelled(one: Measure) -> Iterator[str]:
    """Both names; of a family those of its members, as far as they are known before a run."""
    places = _PLACE.findall(one.path)
    for words in product(*(_PLACES[place] or (f"<{place}>",) for place in places)):
        member = _filled(one, dict(zip(places, words, strict=True))) if places else one
        yield from (member.name, member.path)
