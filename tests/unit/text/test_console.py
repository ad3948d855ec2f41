"""How wide a console is: as wide as the terminal; a fixed width for what is none."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from allocphase.text.console import WIDTH, terminal

Terminal = Callable[[int], TextIO]


@pytest.fixture
def opened() -> Iterator[Terminal]:
    """Makes terminals of a width, 0 for one that has not said its own."""
    descriptors: list[int] = []
    streams: list[TextIO] = []

    def make(columns: int) -> TextIO:
        master, side = pty.openpty()
        descriptors.append(master)
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        streams.append(os.fdopen(side, "w"))
        return streams[-1]

    yield make
    for stream in streams:
        stream.close()
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.fixture(autouse=True)
def without_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize(
    ("columns", "width"), [(60, 60), (80, 80), (140, 140), (0, WIDTH), (3, 40)]
)
def test_a_console_is_as_wide_as_its_terminal(opened: Terminal, columns: int, width: int) -> None:
    assert terminal(opened(columns)).width == width


def test_columns_go_before_what_the_terminal_says(
    opened: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert terminal(opened(60)).width == 100
    monkeypatch.setenv("COLUMNS", "wide")
    assert terminal(opened(60)).width == 60


def test_what_is_no_terminal_has_a_fixed_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    with (tmp_path / "log").open("w") as file:
        assert terminal(file).width == WIDTH
    assert terminal(io.StringIO()).width == WIDTH
