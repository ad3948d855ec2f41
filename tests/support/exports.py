"""A run that no exporter likes: eleven allocators, names with blanks, markup and letters beyond
ASCII, a crashed cell, one that was never measured, a process without a finite figure.
"""

from __future__ import annotations

from pathlib import Path

from allocphase.analysis.frames import Run, load
from allocphase.probe.probe import Probe
from allocphase.store.writer import RunWriter
from tests.golden.synthetic import MARKUP, TIMES_NS, write_run
from tests.support.runs import process

__all__ = ["NOTHING", "SCENARIOS", "SPACED", "awkward_run", "cell_count"]

SPACED = "größte Seite-3"
# Whose one process has no replay to tell a time of.
NOTHING = "∞, \"quoted\" & 'more'"
ALLOCATORS = {**TIMES_NS, SPACED: 41.5, **{f"variant?pool={n}": 50.0 + n for n in range(4)}}
SCENARIOS = {"keep": 400, "Größe 8/<b>fett</b> 50%": 240}


def awkward_run(path: Path) -> Run:
    """Written as runs are; `NOTHING` has one process in all."""
    times = {**ALLOCATORS, NOTHING: 1.0}
    assert len(times) == 11
    write_run(path, times_ns=times, scenarios=SCENARIOS, label="awkward ü <run>")
    journal = path / "processes.jsonl"
    others = [
        line
        for line, record in zip(
            journal.read_text(encoding="utf-8").splitlines(), load(path).records, strict=True
        )
        if record.allocator != NOTHING
    ]
    journal.write_text("".join(f"{line}\n" for line in others), encoding="utf-8")
    empty = process(
        "throughput", {"warm_ns_per_op": []}, id=99_999_999, allocator=NOTHING, scenario="keep"
    )
    assert empty.probe is Probe.THROUGHPUT
    RunWriter(path).add(empty, {})
    return load(path)


def cell_count() -> int:
    """Of that run."""
    return 11 * len(SCENARIOS)


assert MARKUP in ALLOCATORS
