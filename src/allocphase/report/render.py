"""Writes the report of a run into its directory: the page, the Markdown and the figures.

What draws and fills templates is imported when it is asked for, once matplotlib knows where to
keep its fonts.
"""

from __future__ import annotations

from pathlib import Path

from allocphase.analysis.frames import Run
from allocphase.errors import UsageError, unknown
from allocphase.files.durable import write_text
from allocphase.report.figures.fonts import fonts_beside

__all__ = ["figure_names", "render", "render_figure", "render_pair"]

FORMATS = ("png", "svg")


def render(run: Run, *, formats: tuple[str, ...] = ("png",)) -> Path:
    """Writes report.html, report.md and figures/ into the run directory; returns report.html.

    formats: of the figures, "png" and "svg". Raises AllocphaseError when a file cannot be
    written.
    """
    with fonts_beside(run.path):
        from allocphase.report.content.source import Source
        from allocphase.report.figures.catalogue import draw, figures_of
        from allocphase.report.page.page import page
        from allocphase.report.text.markdown import markdown

        source = Source.of(run)
        path = _write(run.path / "report.html", page(source))
        _write(run.path / "report.md", markdown(source))
        for spec in figures_of(source):
            draw(spec, run.path / "figures", formats=formats)
        return path


def render_pair(run: Run, other: Run) -> Path:
    """Writes one page about both runs into the first one's directory; returns its path.

    Raises UsageError when the runs have no scenario in common that is the same trace.
    """
    with fonts_beside(run.path):
        from allocphase.report.content.pair import paired
        from allocphase.report.page.page import page

        name = f"report-with-{other.path.resolve().name}.html"
        return _write(run.path / name, page(paired(run, other)))


def figure_names(run: Run) -> list[str]:
    """The names of the run's figures, in the order of the report."""
    with fonts_beside(run.path):
        from allocphase.report.content.source import Source
        from allocphase.report.figures.catalogue import figures_of

    return [spec.name for spec in figures_of(Source.of(run))]


def render_figure(run: Run, name: str, *, suffix: str = "png") -> Path:
    """Draws one figure into figures/ of the run directory; returns its path.

    Raises UsageError for a name that the run has no figure for, and for another suffix.
    """
    if suffix not in FORMATS:
        raise UsageError(unknown("figure format", suffix, FORMATS))
    with fonts_beside(run.path):
        from allocphase.report.content.source import Source
        from allocphase.report.figures.catalogue import draw, figures_of

        specs = {spec.name: spec for spec in figures_of(Source.of(run))}
        if name not in specs:
            raise UsageError(unknown("figure", name, specs))
        return draw(specs[name], run.path / "figures", formats=(suffix,))[0]


def _write(path: Path, text: str) -> Path:
    write_text(path, text, synced=False)
    return path
