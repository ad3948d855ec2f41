"""The errors that end a command. Each is one clear line and carries its exit code.

`cli.main` catches them once; nothing else turns an exception into an exit code.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

__all__ = ["AllocphaseError", "DataError", "NothingMeasuredError", "UsageError", "shown", "unknown"]


class AllocphaseError(Exception):
    """The tool could not do its work: exit code 1."""

    exit_code = 1


class UsageError(AllocphaseError):
    """A name, file or key that the user gave is wrong: exit code 2.

    The message names the file and the key, and says what would be accepted.
    """

    exit_code = 2


class DataError(UsageError):
    """A file that allocphase wrote is not as it was written: exit code 2 too.

    The message names the file, and the line, key or array in it.
    """


class NothingMeasuredError(AllocphaseError):
    """No cell has a result, or the baseline is missing: exit code 5."""

    exit_code = 5


SHOWN_LENGTH = 100

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 60


def shown(value: object) -> str:
    """A value as an error quotes it, without the middle of a long one."""
    text = _brief.repr(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 3]}..."


def unknown(what: str, given: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """One line about a name that does not exist, with the nearest one that does. `otherwise`: what
    may have been meant that is no such name, with its words.
    """
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    if near:
        advice = f"did you mean {near[0]!r}{f', or {otherwise}' if otherwise else ''}?"
    else:
        advice = f"there are {', '.join(names)}{f', and {otherwise}' if otherwise else ''}"
    return f"{what} {shown(given)} does not exist: {advice}"
