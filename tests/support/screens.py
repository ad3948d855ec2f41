"""A terminal of a width, without one: what it was shown."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import IO

import pytest

__all__ = ["shown_at"]

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown_at(
    columns: int, show: Callable[[IO[str]], None], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The lines that `show` prints on a terminal of so many columns, without colours."""
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = _Screen()
    show(screen)
    return _ESCAPES.sub("", screen.getvalue()).splitlines()
