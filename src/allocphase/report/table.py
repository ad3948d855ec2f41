"""The summary on the terminal: a row a cell, at 80 columns."""

from __future__ import annotations

from allocphase.frames import Run

__all__ = ["print_summary"]


def print_summary(run: Run) -> None:
    for cell in run.cell_list:
        print(cell["scenario"], cell["allocator"], cell["status"], cell["message"], cell["metrics"].get("time_per_op_ns"))
