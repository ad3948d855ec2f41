"""What a check raises that finds no figure to judge."""

from __future__ import annotations

__all__ = ["Missing"]


class Missing(Exception):  # noqa: N818 (no error: a verdict)
    """A figure is not in the run, or says nothing there; the message says why."""
