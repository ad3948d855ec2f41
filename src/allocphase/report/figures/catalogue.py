"""The static figures, by name: an explicit list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from allocphase.errors import AllocphaseError
from allocphase.report.content.growth import source_sweeps
from allocphase.report.content.scaling import swept
from allocphase.report.content.source import Source
from allocphase.report.figures.canvas import styled, write
from allocphase.report.figures.causes import causes
from allocphase.report.figures.growth import growth
from allocphase.report.figures.memory import memory
from allocphase.report.figures.percentiles import percentiles
from allocphase.report.figures.program_memory import program_memory
from allocphase.report.figures.scaling import scaling
from allocphase.report.figures.syscalls import syscalls
from allocphase.report.figures.time_per_op import time_per_op
from allocphase.report.figures.timeline import timeline

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
    if source.traced:
        yield FigureSpec("syscalls", "System calls by name", None, partial(syscalls, source))
        yield FigureSpec("causes", "Why slow calls are slow", None, partial(causes, source))
        yield FigureSpec("memory", "Memory over operation time", None, partial(memory, source))
    for index, sweep in enumerate(source_sweeps(source)):
        end = slug(f"{sweep.base}-by-{sweep.parameter}", index)
        yield FigureSpec(f"growth-{end}", "Growth", None, partial(growth, source, sweep))
    for index, sweep in enumerate(swept(source)):
        end = slug(f"{sweep.base}-by-{sweep.parameter}", index)
        yield FigureSpec(f"scaling-{end}", "Scaling", None, partial(scaling, source, sweep))
    for index, name in enumerate(source.scenarios):
        end = slug(name, index)
        if name not in source.traced:
            title, build = "A program's memory over time", partial(program_memory, source, name)
            yield FigureSpec(f"program-memory-{end}", title, name, build)
            continue
        yield FigureSpec(
            f"timeline-{end}", "Every operation, by cause", name, partial(timeline, source, name)
        )
        yield FigureSpec(
            f"percentiles-{end}", "Latency by percentile", name, partial(percentiles, source, name)
        )


def draw(spec: FigureSpec, folder: Path, *, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Draws one figure into `folder`, once for each format; returns the files.

    Raises AllocphaseError when one cannot be written.
    """
    paths = [folder / f"{spec.name}.{suffix}" for suffix in formats]
    with styled():
        figure = spec.build()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path in paths:
                write(figure, path)
        except OSError as error:
            raise AllocphaseError(f"{folder}: {error.strerror}") from error
    return paths


def slug(name: str, index: int) -> str:
    """A scenario's name as part of a file name and a fragment; the index where it has to change."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    return plain if plain == name else f"{plain}-{index}"
