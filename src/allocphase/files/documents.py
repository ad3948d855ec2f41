"""Documents that may come from elsewhere: JSON and TOML, bounded in length, depth and numbers.

What passes here can be walked, printed and computed with: no nesting that a recursion does not
survive, no integer beyond 64 bits, no text that UTF-8 cannot write or that commands a terminal.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from pathlib import Path
from typing import Any

from allocphase.errors import DataError, UsageError
from allocphase.files.regular import read_regular_text

__all__ = ["parse_json", "read_json", "read_toml"]

# Hundreds of times what we write; 16 MiB of JSON take up to 450 MB as Python objects.
MAX_JSON_BYTES = 16 << 20
MAX_TOML_BYTES = 256 << 10
MAX_DEPTH = 32
# tomllib's time grows with the square of a dotted key's parts: 60 s for 60,000 of them.
MAX_DOTS_IN_LINE = 1000
MAX_KEY_LENGTH = 300
MAX_INTEGER = (1 << 64) - 1

# Control characters but tab, line feed and return, and those that turn the direction of what
# follows, so that a line is read otherwise than it is: escaped as JSON has them, and as they are.
_ESCAPED_CONTROL = re.compile(
    r"(?<!\\)((?:\\\\)*)\\(?:u00(?:0[0-8bcef]|1[0-9a-f]|7f|[89][0-9a-f])|u20(?:2[a-e]|6[6-9])|[bf])",
    re.IGNORECASE,
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NO_TEXT = re.compile(f"{_CONTROL.pattern}|[\ud800-\udfff]")


def read_json(path: Path) -> Any:
    """The document in a file that allocphase wrote, and which is no link for that reason.

    Raises FileNotFoundError, UsageError where it cannot be read, DataError where it is no JSON
    within bounds.
    """
    try:
        return parse_json(_text(path, MAX_JSON_BYTES, follow=False))
    except ValueError as error:
        raise DataError(f"{path}: not readable as JSON: {error}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a file, which a person wrote: its name may be a link.

    Raises UsageError with the file and the reason.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder, and no TOML file")
    try:
        text = _text(path, MAX_TOML_BYTES, follow=True)
        if any(line.count(".") > MAX_DOTS_IN_LINE for line in text.splitlines()):
            raise ValueError(f"a line with more than {MAX_DOTS_IN_LINE} dots")
        table = tomllib.loads(text)
        _check(table)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except RecursionError:
        raise UsageError(f"{path}: not a TOML file: nested too deeply") from None
    except ValueError as error:  # tomllib's own is one
        raise UsageError(f"{path}: not a TOML file: {error}") from None
    return table


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError with the reason.

    Control characters in its strings become U+FFFD: a crashed allocator's last words have them.
    """
    text = _CONTROL.sub("\ufffd", _ESCAPED_CONTROL.sub(r"\1\\ufffd", text))
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check(value)
    return value


def _text(path: Path, max_bytes: int, *, follow: bool) -> str:
    try:
        return read_regular_text(path, max_bytes, follow=follow)
    except (FileNotFoundError, UnicodeDecodeError):
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _integer(digits: str) -> int:
    if len(digits) > 21 or abs(int(digits)) > MAX_INTEGER:
        raise ValueError("an integer of more than 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number beyond what a double holds")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _check(document: object) -> None:
    """Level by level, so that depth costs no recursion."""
    level = [document]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below += value
                below += value.values()
                if any(len(key) > MAX_KEY_LENGTH for key in value):
                    raise ValueError(f"a key of more than {MAX_KEY_LENGTH} characters")
            elif isinstance(value, list):
                below += value
            else:
                _check_scalar(value)
        if not below:
            return
        level = below
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _check_scalar(value: object) -> None:
    if isinstance(value, str) and _NO_TEXT.search(value):
        raise ValueError("a text with control characters, or one that is no Unicode")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError("an integer of more than 64 bits")
