"""Comparison of cells that were already measured: within one run, or between two.

Place in the pipeline: after analysis and judge, whose words it uses. It reads run directories and
starts nothing.

    compare   the runs' rows, and what a reader must know of them
    pairs     which cells are held against which, and why not
    rows      their values to ratios, intervals and verdicts
    console, export    the table for a terminal; Markdown, CSV and JSON
"""

from __future__ import annotations

from allocphase.compare.compare import ComparedRuns, CompareSettings, compare_runs
from allocphase.compare.rows import DEFAULT_METRICS, CompareRow

__all__ = ["DEFAULT_METRICS", "CompareRow", "CompareSettings", "ComparedRuns", "compare_runs"]
