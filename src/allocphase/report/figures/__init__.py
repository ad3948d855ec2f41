"""The static figures, by name: an explicit list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from allocphase.report.figures.canvas import styled, write
from allocphase.report.figures.memory import memory
from allocphase.report.figures.percentiles import percentiles
from allocphase.report.figures.syscalls import syscalls
from allocphase.report.figures.time_per_op import time_per_op
from allocphase.report.figures.timeline import timeline
from allocphase.report.source import Source

__all__ = ["FigureSpec", "draw", "figures_of", "slug"]


@dataclass(frozen=True, slots=True)
class FigureSpec:
    """A figure that a run can have. `scenario` is None for those of the whole run."""

    name: str
    title: str
    scenario: str | None
    build: Callable[[], Figure]


def figures_of(source: Source) -> Iterator[FigureSpec]:
    """Every figure of a run, in the order of the report."""
    yield FigureSpec("time-per-op", "Time per op", None, partial(time_per_op, source))
    yield FigureSpec("syscalls", "System calls by name", None, partial(syscalls, source))
    yield FigureSpec("memory", "Memory over operation time", None, partial(memory, source))
    for index, name in enumerate(source.scenarios):
        end = slug(name, index)
        yield FigureSpec(
            f"timeline-{end}", "Every operation, by cause", name, partial(timeline, source, name)
        )
        yield FigureSpec(
            f"percentiles-{end}", "Latency by percentile", name, partial(percentiles, source, name)
        )


def draw(spec: FigureSpec, folder: Path, *, suffix: str = ".png") -> Path:
    """Draws one figure into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{spec.name}{suffix}"
    with styled():
        write(spec.build(), path)
    return path


def slug(name: str, index: int) -> str:
    """A scenario's name as part of a file name and a fragment; the index where it has to change."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    return plain if plain == name else f"{plain}-{index}"
