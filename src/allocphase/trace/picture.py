"""What is in a trace as a picture: sizes, lifetimes, what is live, kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from allocphase import resources
from allocphase.files.durable import write_whole
from allocphase.trace.facts import Facts

__all__ = ["draw"]


def draw(facts: Facts, path: Path, *, name: str) -> None:
    """Writes a PNG. Raises AllocphaseError where that fails."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style = resources.find("reports/allocphase.mplstyle")
    with mpl.rc_context(mpl.rc_params_from_file(style, use_default_template=False)):
        figure = Figure(figsize=(9, 6), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(name)
        axes = figure.subplots(2, 2)
        _histogram(axes[0][0], facts.sizes, "bytes asked for")
        _histogram(axes[0][1], facts.lifetimes, "operations until it is freed")
        axes[1][0].fill_between(np.linspace(0, 100, len(facts.live)), facts.live / 1024)
        axes[1][0].set(xlabel="operations, per cent", ylabel="live KiB", ylim=(0, None))
        kinds = {kind: count for kind, count in facts.counts.items() if count}
        axes[1][1].barh(list(kinds), list(kinds.values()))
        axes[1][1].set(xlabel="operations")
        write_whole(path, lambda file: figure.savefig(file, format="png", dpi=120))


def _histogram(axes: Any, values: Any, label: str) -> None:
    """By powers of two."""
    if len(values):
        exponents = np.ceil(np.log2(np.maximum(values, 1))).astype(int)
        counts = np.bincount(exponents)
        axes.bar(np.arange(len(counts)), counts)
        step = max(1, len(counts) // 8)
        ticks = np.arange(0, len(counts), step)
        axes.set_xticks(ticks, [f"$2^{{{tick}}}$" for tick in ticks])
    axes.set(xlabel=f"{label}, up to", ylabel="objects")
