"""`allocphase trace`: what is in a trace, a window of it, traces of other tools, and text."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from allocphase.errors import UsageError

if TYPE_CHECKING:
    from typing import BinaryIO

    from allocphase.trace.records import Trace

__all__ = ["trace"]

_FILE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path))


@click.group()
def trace() -> None:
    """Look into recorded traces, cut them, and bring in those of other tools.

    \b
    Example:
      allocphase trace info app.trace --figure app.png
      allocphase trace cut app.trace --from 40% --to 60% -o middle.trace.zst
      allocphase trace import app.events -o app.trace
      allocphase trace export app.trace -o app.txt
    """


@trace.command()
@_FILE
@click.option(
    "--figure",
    metavar="FILE.png",
    type=click.Path(path_type=Path),
    help="Draw sizes, lifetimes, what is live and kinds as well.",
)
def info(path: Path, figure: Path | None) -> None:
    """Say what is in a trace: calls by kind, sizes, lifetimes, live bytes, threads, rate.

    \b
    Example:
      allocphase trace info app.trace
      allocphase trace info app.trace.zst --figure app.png
    """
    from allocphase.trace.facts import facts_of, facts_text

    facts = facts_of(_read(path))
    click.echo(facts_text(facts, name=path.name))
    if figure is not None:
        from allocphase.trace.picture import draw

        draw(facts, figure, name=path.name)


@trace.command()
@_FILE
@click.option(
    "--from",
    "first",
    default="0%",
    show_default=True,
    metavar="N|N%",
    help="Its first operation, by number or by share of all.",
)
@click.option(
    "--to",
    "last",
    default="100%",
    show_default=True,
    metavar="N|N%",
    help="The operation that it ends before.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The new trace; .zst packs it.",
)
def cut(path: Path, first: str, last: str, output: Path) -> None:
    """Cut a window out of a trace: its operations, and before them what was live.

    Operations are numbered as `export` writes them.

    \b
    Example:
      allocphase trace cut app.trace --from 1000000 --to 2000000 -o part.trace
    """
    from allocphase.trace import write
    from allocphase.trace.records import TraceError
    from allocphase.trace.window import window

    whole = _read(path)
    count = len(whole.ops)
    begin, end = (
        _place(text, count, option=option) for text, option in ((first, "--from"), (last, "--to"))
    )
    try:
        made = window(whole, begin, end)
    except TraceError as error:
        raise UsageError(f"{path}: {error}") from None
    write(made, output)
    click.echo(f"{output}: {len(made.ops):,} operations")


@trace.command("import")
@_FILE
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The trace; .zst packs it.",
)
@click.option(
    "--touched",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What `record --touched` learnt of the command: how much of each block it touches.",
)
def import_(path: Path, output: Path, touched: Path | None) -> None:
    """Make a trace of FILE: an event file of `allocphase record`, a trace as text, Firefox's
    logalloc, Android's memory_replay, glibc's trace_run workload, malloclab's .rep.

    \b
    Example:
      allocphase trace import app.events -o app.trace.zst
      allocphase trace import app.events --touched app.touched.events -o app.trace
      allocphase trace import by-hand.txt -o by-hand.trace
    """
    from allocphase.recorder.imported import import_trace

    for line in import_trace(path, output, touched=touched):
        click.echo(line)


@trace.command()
@_FILE
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The text file. Without it: stdout.",
)
def export(path: Path, output: Path | None) -> None:
    """Write a trace as text, which `import` reads again to the same trace.

    \b
    Example:
      allocphase trace export app.trace | less
    """
    import io

    from allocphase.files.durable import write_whole
    from allocphase.trace.text_form import write_text

    found = _read(path)
    if output is None:
        write_text(found, sys.stdout)
        return

    def fill(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        write_text(found, text)
        text.flush()
        text.detach()

    write_whole(output, fill)


def _read(path: Path) -> Trace:
    from allocphase.trace import read

    return read(path)


def _place(text: str, count: int, *, option: str) -> int:
    """An operation's number, or a share of all."""
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?%", text) and float(text[:-1]) <= 100:
        return round(count * float(text[:-1]) / 100)
    raise UsageError(f"{option} {text!r}: a number of an operation, or a share such as 40%")
