"""In which functions the instructions are that a candidate has more than its baseline.

From the processes of the instructions probe, of each arm the first: what each function takes by
itself, an operation. Functions that only one of the two has are there with 0 for the other.

Place in the pipeline: beside the verdict, for who asks why; reads files, and starts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from allocphase.judge.evidence import BASELINE, CANDIDATE
from allocphase.probe.probe import Probe
from allocphase.probe.result import Instructions
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord

__all__ = ["FunctionDifference", "function_differences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionDifference:
    """Of one function: instructions an operation in the baseline and in the candidate, by itself.

    source: FILE:LINE of its costliest line in the candidate, or else in the baseline; "" where
    there is no debug information.
    """

    name: str
    source: str
    base: float
    candidate: float

    @property
    def added(self) -> float:
        """What the candidate takes more."""
        return self.candidate - self.base


def function_differences(folder: Path, scenario: str) -> Sequence[FunctionDifference]:
    """Those that differ, the largest difference first; empty where no process of both was kept.

    `folder`: the run directory of a gate's session. Raises UsageError where its files are damaged.
    """
    if not (folder / "run.json").exists():
        return ()
    records = RunFiles(folder).processes()
    arms = [_by_name(_first(records, arm, scenario)) for arm in (BASELINE, CANDIDATE)]
    if not all(arms):
        return ()
    base, candidate = arms
    found = [
        FunctionDifference(
            name=name,
            source=(candidate.get(name) or base[name])[1],
            base=base.get(name, (0.0, ""))[0],
            candidate=candidate.get(name, (0.0, ""))[0],
        )
        for name in dict.fromkeys([*candidate, *base])
    ]
    return sorted((one for one in found if one.added), key=lambda one: -abs(one.added))


def _first(records: Sequence[ProcessRecord], arm: str, scenario: str) -> ProcessRecord | None:
    wanted = (arm, scenario, Probe.INSTRUCTIONS)
    good = (r for r in records if r.ok and (r.allocator, r.scenario, r.probe) == wanted)
    return next(good, None)


def _by_name(record: ProcessRecord | None) -> dict[str, tuple[float, str]]:
    """Instructions an operation, and the source."""
    if record is None or not record.result.repeated_operations:
        return {}
    count = record.result.repeated_operations
    return {
        one.name: (one.instructions / count, one.source)
        for one in record.part(Instructions).functions
    }
