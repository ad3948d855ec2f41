"""Go's benchmark format, which benchstat reads: a line a process.

    BenchmarkReplay/scenario=random-churn/allocator=libc  200000  21.5 ns/op

A process measures one thing, so that a line of times has no counts, and the other way round:
benchstat groups by name and unit, not by line. `benchstat -col /allocator FILE` holds the
allocators of one run against each other, `benchstat OLD NEW` two runs. As configuration stands
only what makes figures incomparable, since a key whose value differs splits benchstat's tables.

Format: golang/proposal, design/14313-benchmark-format.md; benchstat's units are those of
golang.org/x/perf/benchunit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from allocphase.analysis.frames import Run
from allocphase.analysis.measures import Measure
from allocphase.export.exported import Choice, Exported
from allocphase.export.figures import (
    COMPARED,
    is_exact,
    lost_cells,
    number_text,
    process_figures,
)
from allocphase.store.record import ProcessRecord
from allocphase.text.line import plain

__all__ = ["go_unit", "quoted", "write"]

# A name's last `-8` is read as GOMAXPROCS.
_PROCESSORS = re.compile(r"-(?=[0-9]+$)")
_BY_NAME = {one.name: one for one in COMPARED}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write(runs: Sequence[Run], _: Choice) -> Exported:
    """Of one run."""
    (run,) = runs
    lost = lost_cells(run)
    measured = [(record, figures) for record, figures in process_figures(run) if figures]
    names = dict.fromkeys(name for _, figures in measured for name in figures)
    lines = [
        *_head(run),
        *_units(run, [_BY_NAME[name] for name in names]),
        *(f"# {line}" for line in lost),
        *(_result(run, record, figures) for record, figures in measured),
    ]
    return Exported.of_text("\n".join(lines) + "\n", lost)


def _head(run: Run) -> Iterator[str]:
    environment = run.manifest.environment
    yield f"# allocphase {plain(run.manifest.label)}, {plain(run.manifest.started)}"
    yield "goos: linux"
    machine = str(environment.get("machine") or "")
    facts = {"goarch": _ARCHITECTURES.get(machine, machine), "cpu": environment.get("cpu")}
    for key, value in facts.items():
        if value:  # an empty one would take the key away
            yield f"{key}: {plain(str(value))}"


def _units(run: Run, measures: Sequence[Measure]) -> Iterator[str]:
    exact: dict[str, bool] = {}
    for one in measures:  # two may share a unit
        exact[go_unit(one)] = exact.get(go_unit(one), True) and is_exact(run, one)
    for unit, agreed in exact.items():
        yield f"Unit {unit} better=lower{' assume=exact' if agreed else ''}"


def _result(run: Run, record: ProcessRecord, figures: Mapping[str, float]) -> str:
    values = (f"{number_text(value)} {go_unit(_BY_NAME[name])}" for name, value in figures.items())
    return " ".join((_name(run, record), str(_iterations(record)), *values))


def _name(run: Run, record: ProcessRecord) -> str:
    entry = next(one for one in run.manifest.scenarios if one.name == record.scenario)
    what = "Program" if entry.program else "Imported" if entry.benchmark else "Replay"
    parts = f"scenario={quoted(record.scenario)}/allocator={quoted(record.allocator)}"
    return _PROCESSORS.sub("%2D", f"Benchmark{what}/{parts}")


def quoted(name: str) -> str:
    """As part of a name: blanks, slashes, signs of percent and what cannot be printed as in URLs,
    all else as it is.
    """
    return "".join(
        c if c.isprintable() and c not in " /%" else "".join(f"%{b:02X}" for b in c.encode("utf-8"))
        for c in name
    )


def _iterations(record: ProcessRecord) -> int:
    """How many operations the figures are of: a program is one."""
    result = record.result
    each = result.repeated_operations or result.operations
    part = result.throughput
    replays = max(part.replays_per_pass, 1) * len(part.warm_ns_per_op) if part else 1
    return max(each * replays, 1)


def go_unit(one: Measure) -> str:
    """In Go's words: time:ns/op, p99_9: p99.9-ns/op, peak_rss: peak-rss-bytes."""
    if one.name in ("time", "wall"):
        return "ns/op"
    name = re.sub(r"(?<=p99)_(?=9)", ".", one.name).replace("_", "-")
    suffix = {"ns": "-ns/op", "bytes": "-bytes", "rate": "/op"}.get(one.unit, "")
    return f"{name}{suffix}"
