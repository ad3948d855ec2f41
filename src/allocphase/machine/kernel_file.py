"""The kernel's one-line files under /proc and /sys."""

from __future__ import annotations

from pathlib import Path

__all__ = ["chosen_word", "read_text"]


def read_text(path: Path) -> str | None:
    """Its text without white space around it; None where it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def chosen_word(path: Path) -> str | None:
    """The word in brackets: "always [madvise] never" -> "madvise"."""
    text = read_text(path)
    if text is None or "[" not in text:
        return text
    return text.partition("[")[2].partition("]")[0]
