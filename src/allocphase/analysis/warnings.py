"""Doubts as data: each warning is attached to the cell whose figures it touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allocphase.analysis.program_warnings import program_warnings
from allocphase.analysis.warning_kinds import CellWarning, Kind
from allocphase.machine.disturbance import Disturbance
from allocphase.probe.probe import Probe
from allocphase.store.record import ProcessRecord

__all__ = ["cell_warnings", "disturbances", "is_disturbed", "setting_warnings"]

# A process of some 150 ms that was put aside more often than a scheduler's tick explains.
SWITCHES_PER_PROCESS = 100
# Different words that a cell's processes say, of which one may have an address or a number in it.
MOST_SAID = 3
# Three ticks of the kernel's clock: less cannot be told from its rounding.
LEAST_S = 0.03
# Beyond that the memory probe's pass is no longer a timed one.
SLOW_MEMORY_PASS = 2.0
# mimalloc's; the others give memory back after longer.
SHORTEST_TIMER_NS = 10e6
# Of the time per operation: below, it is what starting and ending a thread costs.
HELPER_SHARE = 0.01
# Rates of an idle machine differ by less, from one process to the next.
CLOCK_SPREAD = 0.05


@dataclass(frozen=True, slots=True)
class _Sign:
    """A figure that is told beyond `threshold`; of the time, if it is a `share` of it."""

    kind: Kind
    figure: Callable[[Disturbance], float | None]
    threshold: float
    share: bool


_SIGNS = (
    _Sign(Kind.LOAD, lambda seen: seen.others_s, 0.25, share=True),
    _Sign(Kind.STEAL, lambda seen: seen.steal_s, 0.02, share=True),
    _Sign(Kind.STALLED, lambda seen: seen.stalled_s, 0.01, share=True),
    _Sign(Kind.SWAPPED, lambda seen: seen.swapped_pages, 0.0, share=False),
    _Sign(Kind.THROTTLED, lambda seen: seen.throttles, 0.0, share=False),
    _Sign(Kind.SUSPENDED, lambda seen: seen.suspended_s, 0.1, share=False),
)


def cell_warnings(
    records: Sequence[ProcessRecord],
    metrics: Mapping[str, Any],
    *,
    ignored_settings: Sequence[str] = (),
    prints_unlike: str = "",
) -> tuple[CellWarning, ...]:
    """Everything a reader should know before believing the cell's figures. ignored_settings: of its
    arm, as run.json has them. prints_unlike: of a program, the allocator under which it always
    printed something else.
    """
    good = [record for record in records if record.ok]
    return (
        *_emulated(good),
        *_locked(good),
        *_unconforming(good),
        *_skipped(good),
        *_slow(good),
        *_tampered(good),
        *_outputs(metrics, prints_unlike),
        *setting_warnings(good, ignored_settings),
        *_interposing(good),
        *_below_floor(metrics),
        *_lacking(good),
        *_interrupted(good),
        *disturbances(good),
        *_floor(metrics),
        *_slowed(metrics),
        *_helped(good, metrics),
        *_let_through(good),
        *_condensed(good),
        *_lost(good),
        *program_warnings(good),
    )


def _slow(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    timed = [r for r in records if r.probe is Probe.THROUGHPUT]
    if len(timed) == 1 and timed[0].result.is_slow:
        yield CellWarning(Kind.SLOW)


def _emulated(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    if names := sorted({name for r in records for name in r.result.emulated}):
        yield CellWarning(Kind.EMULATED, words=", ".join(names))


def _locked(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    if any(r.result.locked for r in records):
        yield CellWarning(Kind.LOCKED)


def _unconforming(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    """What is wrong with functions that the trace does not use; of others it is the status."""
    found = {f for r in records if r.result.verify for f in r.result.verify.conformance}
    yield from (CellWarning(Kind.UNCONFORMING, words=finding) for finding in sorted(found))


def _skipped(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    """The driver adds up what it skipped in all passes of a process; the trace has it once."""
    skipping = [r.result for r in records if r.result.skipped_operations]
    frees = max((r.operation_counts.get("free_foreign", 0) for r in skipping), default=0)
    if frees:
        yield CellWarning(Kind.SKIPPED, (frees,))


def _lacking(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    """What the driver was not allowed, and under which probes."""
    probes: dict[str, set[str]] = {}
    for record in records:
        for text in record.result.lacks:
            probes.setdefault(text, set()).add(record.probe)
    for text, found in sorted(probes.items()):
        yield CellWarning(Kind.LACKING, words=f"{text} ({', '.join(sorted(found))})")


def _interrupted(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    timed = (r.result.usage for r in records if r.probe is Probe.THROUGHPUT)
    most = max((usage.involuntary_switches for usage in timed if usage), default=0)
    if most > SWITCHES_PER_PROCESS:
        yield CellWarning(Kind.INTERRUPTED, (most,))


def setting_warnings(
    records: Sequence[ProcessRecord], ignored_settings: Sequence[str]
) -> Iterator[CellWarning]:
    """Where what was set may not hold: the object does not know it, or said something itself."""
    yield from (CellWarning(Kind.IGNORED, words=key) for key in ignored_settings)
    said = sorted({r.result.said for r in records if r.result.said})
    yield from (CellWarning(Kind.SAID, words=words) for words in said[:MOST_SAID])


def disturbances(records: Sequence[ProcessRecord]) -> list[CellWarning]:
    """What the harness saw of the machine while these processes were timed."""
    seen = [r.result.disturbance for r in records if r.result.disturbance]
    found = [warning for sign in _SIGNS if (warning := _signed(seen, sign))]
    return [*found, *_clock_rates(seen), *_traced(records)]


def is_disturbed(record: ProcessRecord) -> bool:
    """Whether a sign of the machine alone says so: neither its time nor what was measured."""
    seen = record.result.disturbance
    return seen is not None and any(_signed([seen], sign) for sign in _SIGNS)


def _signed(seen: Sequence[Disturbance], sign: _Sign) -> CellWarning | None:
    """About the processes in which the figure passes its threshold."""
    hit = []
    for one in seen:
        value = float(sign.figure(one) or 0.0)
        span_s = one.span_s if sign.share else 1.0
        of_span = value / span_s if span_s else 0.0
        if of_span > sign.threshold and (not sign.share or value >= LEAST_S):
            hit.append(of_span)
    if not hit:
        return None
    most = 100 * max(hit) if sign.share else max(hit)
    return CellWarning(sign.kind, (most, len(hit), len(seen)))


def _clock_rates(seen: Sequence[Disturbance]) -> Iterator[CellWarning]:
    rates = [float(one.clock_khz) for one in seen if one.clock_khz]
    if rates and min(rates) < (1.0 - CLOCK_SPREAD) * max(rates):
        yield CellWarning(Kind.CLOCK_RATE, (min(rates) / 1e6, max(rates) / 1e6))


def _traced(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    """As the driver says of itself; its own tracer, which counts system calls, is gone by then."""
    if traced := sum(bool(r.result.tracer_pid) for r in records):
        yield CellWarning(Kind.TRACED, (traced, len(records)))


def _floor(metrics: Mapping[str, Any]) -> Iterator[CellWarning]:
    clock = metrics.get("clock_floor_ns")
    if clock is None:
        return
    at_floor = [
        kind
        for kind, values in metrics.get("latency_ns", {}).items()
        if values["p50"] is not None and values["p50"] <= 1.5 * clock
    ]
    if at_floor:
        yield CellWarning(Kind.CLOCK_FLOOR, (clock,), ", ".join(at_floor))


def _slowed(metrics: Mapping[str, Any]) -> Iterator[CellWarning]:
    """Totals of a pass that was not as fast as the timed ones may be another allocator's."""
    passes = metrics.get("pass_ns", {})
    timed, memory = passes.get("throughput"), passes.get("memory")
    if not timed or not memory or memory <= SLOW_MEMORY_PASS * timed:
        return
    if memory - timed >= SHORTEST_TIMER_NS:
        yield CellWarning(Kind.SLOW_MEMORY, (memory / timed,))


def _helped(records: Sequence[ProcessRecord], metrics: Mapping[str, Any]) -> Iterator[CellWarning]:
    """Who else works for the allocator, and where that is not in the figures."""
    if helpers := max((r.result.helper_threads for r in records), default=0):
        yield CellWarning(Kind.HELPER_THREADS, (helpers,))
    time, helper = metrics.get("time_per_op_ns"), metrics.get("helper_ns_per_op")
    if time and helper and helper > HELPER_SHARE * time:
        yield CellWarning(Kind.HELPERS, (helper, time))


def _let_through(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    calls = (r.result.syscalls.let_through for r in records if r.result.syscalls)
    if most := max(calls, default=0):
        yield CellWarning(Kind.LET_THROUGH, (most,))


def _tampered(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    if any(r.result.tampered for r in records if r.probe.of_programs):
        yield CellWarning(Kind.LEFT)  # a program has nothing else that it can change
        return
    if changes := sorted({change for r in records for change in r.result.tampered}):
        yield CellWarning(Kind.TAMPERED, words=", ".join(changes))


def _outputs(metrics: Mapping[str, Any], prints_unlike: str) -> Iterator[CellWarning]:
    """Of a program: a scenario's with a digest has its status by it."""
    if "output_sha256" in metrics and metrics["output_sha256"] is None:
        yield CellWarning(Kind.OUTPUT_VARIES)
    elif prints_unlike:
        yield CellWarning(Kind.OUTPUT_DIFFERS, words=prints_unlike)


def _interposing(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    """Functions of libc's that have nothing to do with memory."""
    if names := sorted({name for r in records for name in r.result.interposes}):
        yield CellWarning(Kind.INTERPOSES, words=", ".join(names))


def _below_floor(metrics: Mapping[str, Any]) -> Iterator[CellWarning]:
    """Less time than the same replay takes with nobody behind it."""
    time, floor = metrics.get("time_per_op_ns"), metrics.get("floor_ns")
    if time and floor and time < floor:
        yield CellWarning(Kind.BELOW_FLOOR, (time, floor))


def _condensed(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    timed = [r.has_samples for r in records if r.probe is Probe.LATENCY]
    if not all(timed):
        yield CellWarning(Kind.CONDENSED, (sum(timed), len(timed)))


def _lost(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    dropped = 0
    for result in (record.result for record in records):
        dropped += result.syscalls.events_dropped if result.syscalls else 0
        dropped += result.faults.events_dropped if result.faults else 0
        dropped += result.latency.slow_calls_dropped if result.latency else 0
    if dropped:
        yield CellWarning(Kind.LOST, (dropped,))
