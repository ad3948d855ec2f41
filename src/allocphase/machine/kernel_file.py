"""The kernel's short files under /proc and /sys."""

from __future__ import annotations

from pathlib import Path

from allocphase.files.regular import read_regular

__all__ = ["chosen_word", "read_text"]

# /proc/cpuinfo of a thousand CPUs.
MAX_BYTES = 4 << 20


def read_text(path: Path) -> str | None:
    """Its text without white space around it; None where it cannot be read."""
    try:
        content = read_regular(path, MAX_BYTES, follow=True)
    except OSError:
        return None
    return content.decode("ascii", errors="replace").strip()


def chosen_word(path: Path) -> str | None:
    """The word in brackets: "always [madvise] never" -> "madvise"."""
    text = read_text(path)
    if text is None or "[" not in text:
        return text
    return text.partition("[")[2].partition("]")[0]
