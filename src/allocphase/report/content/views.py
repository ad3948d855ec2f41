"""What the matrix can show, one at a time: an explicit list. Each view has a scale of its own.

A view stands for a metric of a trace and for its counterpart of a program, where the catalogue has
them: `page_faults` and `program_page_faults`. To add a view, a line in VIEWS.
"""

from __future__ import annotations

from dataclasses import dataclass

from allocphase.analysis.measures import CATALOGUE, Measure
from allocphase.report.content.compared import Compared, mean_ratio
from allocphase.report.content.ratios import Ratio
from allocphase.report.content.source import Source

__all__ = [
    "SAVED",
    "TIME",
    "VIEWS",
    "Steps",
    "View",
    "column_of",
    "columns_of",
    "mean_of",
    "views_of",
]

# Three sizes at which the colour grows one step stronger.
Steps = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """name: in the address. title: on the switch. noun: what a ratio is of. metrics: by name.
    steps: ratios, or their inverses, at which the colour grows stronger; of SAVED nanoseconds.
    """

    name: str
    title: str
    noun: str
    metrics: tuple[str, ...]
    steps: Steps = (1.25, 2.0, 8.0)
    less: str = "less"
    more: str = "more"
    hint: str = ""


TIME = View(
    name="time",
    title="time",
    noun="time",
    metrics=("time", "wall"),
    less="faster",
    more="slower",
    hint="Time per operation, of a program its wall time; below, what is saved.",
)
SAVED = View(
    name="saved",
    title="ns saved a call",
    noun="time",
    metrics=("time",),
    steps=(1.0, 10.0, 100.0),
    less="saves",
    more="costs",
    hint="Nanoseconds an operation that are saved over the baseline, and below their interval: "
    "what else is done beside does not change them. Less than 0 costs so much more. A program's "
    "calls are not timed, and a mean of nanoseconds would be nobody's.",
)
VIEWS = (
    TIME,
    SAVED,
    View(
        name="instructions",
        title="instructions",
        noun="instructions",
        metrics=("instructions",),
        steps=(1.1, 1.5, 4.0),
        hint="Instructions of the allocator's own an operation, in a warm replay, as callgrind "
        "counts them, and below that number; nothing of the kernel, of page faults and of caches "
        "is in them. A program's are not counted.",
    ),
    View(
        name="p99_9",
        title="p99.9",
        noun="p99.9 of malloc",
        metrics=("p99_9",),
        hint="The latency of malloc that one call in a thousand exceeds, of each process by "
        "itself, paired by round. A program's calls are not timed.",
    ),
    View(
        name="peak_rss",
        title="peak RSS",
        noun="peak RSS",
        metrics=("peak_rss", "program_peak_rss"),
        steps=(1.1, 1.5, 4.0),
        hint="The most that was resident: of a trace its growth, of a program all of its processes "
        "together.",
    ),
    View(
        name="faults",
        title="faults",
        noun="page faults",
        metrics=("page_faults", "program_page_faults"),
        steps=(1.1, 1.5, 4.0),
        hint="Page faults of one replay, in calls and at the first touch, or of a program.",
    ),
    View(
        name="syscalls",
        title="system calls",
        noun="system calls",
        metrics=("syscalls", "program_syscalls"),
        steps=(2.0, 10.0, 100.0),
        hint="System calls in the operations of the first replay, or of a program.",
    ),
)


def views_of(source: Source) -> list[View]:
    """Those of which anybody has a figure; time always."""
    return [view for view in VIEWS if view is TIME or any(columns_of(source, view).values())]


def columns_of(source: Source, view: View) -> dict[str, Compared | None]:
    """By scenario; None where nobody has a figure."""
    return {scenario: column_of(source, view, scenario) for scenario in source.scenarios}


def column_of(source: Source, view: View, scenario: str) -> Compared | None:
    """Of one scenario."""
    one = _measure(view, of_programs=scenario in source.programs)
    found = None if one is None else source.compared(scenario, one)
    return found if found is not None and found.values else None


def _measure(view: View, *, of_programs: bool) -> Measure | None:
    known = (one for one in CATALOGUE if one.name in view.metrics)
    return next((one for one in known if one.probe.of_programs == of_programs), None)


def mean_of(source: Source, view: View, name: str, base: str | None = None) -> Ratio | None:
    """The geometric mean over the scenarios of which anybody has a figure, to an arm or to the
    default baseline.
    """
    known = [column for column in columns_of(source, view).values() if column is not None]
    return mean_ratio(known, base or source.baseline or "", name)
