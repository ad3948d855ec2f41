"""What a run looks like: the table on the terminal, report.html, figures, report.md.

Reads run directories only; nothing here starts a process.
"""

from __future__ import annotations

from pathlib import Path

from allocphase.frames import Run

__all__ = ["render"]


def render(run: Run) -> Path:
    """Writes report.html, report.md and figures/ into the run directory; returns report.html."""
    from allocphase.report.figures import draw, figures_of
    from allocphase.report.markdown import markdown
    from allocphase.report.page import page
    from allocphase.report.source import Source

    source = Source.of(run)
    for spec in figures_of(source):
        draw(spec, run.path / "figures")
    path = run.path / "report.html"
    path.write_text(page(source), encoding="utf-8")
    (run.path / "report.md").write_text(markdown(source), encoding="utf-8")
    return path
