"""A claims file: what somebody published, or promises, of allocators. Read strictly.

docs/claims.md teaches the format.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from allocphase import resources
from allocphase.claim.finding import Check
from allocphase.claim.forms import read_check
from allocphase.claim.thesis import Thesis
from allocphase.errors import UsageError, shown, unknown
from allocphase.files.typed import FieldError, length, load_toml, read

__all__ = ["Claim", "ClaimsFile", "Part", "load"]

MOST_OF_AN_ID = 100


def _text(value: object) -> str:
    """A demand, which gives the text in one line."""
    if not isinstance(value, str) or not value.strip():
        raise FieldError(f"must be a string that is not empty, not {shown(value)}")
    return " ".join(value.split())


def _id(value: object) -> str:
    """A demand; every error about a claim begins with it."""
    text = _text(value)
    if len(text) > MOST_OF_AN_ID:
        raise FieldError(f"must be at most {MOST_OF_AN_ID} characters, not {shown(text)}")
    return text


def _finite(value: object) -> float:
    """A demand; claims are judged in floats."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FieldError(f"must be a finite number, not {shown(value)}")
    return float(value)


_Text = Annotated[str, _text]
_Finite = Annotated[float, _finite]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClaimTable:
    """A [[claim]]. check: one table or several, each read by its form."""

    id: Annotated[str, _id]
    text: _Text
    source: _Text
    published: Mapping[str, _Finite] = field(default_factory=dict)
    check: object


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The whole file; its claims are read one by one, so that a fault names the claim."""

    title: _Text
    source: _Text
    allocators: Mapping[str, _Text] = field(default_factory=dict)
    claim: Annotated[tuple[object, ...], length(least=1)]
    thesis: object = None


@dataclass(frozen=True, slots=True)
class Part:
    """A check, and the words for the part of the claim that it decides; empty: all of it."""

    words: str
    check: Check


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim; it holds when all of its parts do."""

    id: str
    text: str
    source: str
    published: Mapping[str, float]
    parts: tuple[Part, ...]

    @property
    def checks(self) -> tuple[Check, ...]:
        """Those of the parts, in their order."""
        return tuple(part.check for part in self.parts)


@dataclass(frozen=True, slots=True)
class ClaimsFile:
    """`allocators`: objects of the file's own, by name. `thesis`: None where it has none."""

    title: str
    source: str
    allocators: Mapping[str, str]
    claims: tuple[Claim, ...]
    thesis: Thesis | None


def load(spec: str) -> ClaimsFile:
    """The claims in a TOML file, or in one of the package by its name, such as phase-report.

    Raises UsageError with the file, the claim, the key and what is accepted.
    """
    return _read(_find(spec))


def _find(spec: str) -> Path:
    if spec.endswith(".toml") or "/" in spec or Path(spec).is_dir():
        return Path(spec)  # of a folder the reader says what it is
    own = {path.stem: path for root in resources.folders("claims") for path in root.glob("*.toml")}
    if spec not in own:
        raise UsageError(unknown("claims file", spec, own))
    return own[spec]


def _read(path: Path) -> ClaimsFile:
    found = load_toml(_Table, path)
    claims = tuple(
        _claim(entry, where=f"{path}: claim {_named(entry) or number}")
        for number, entry in enumerate(found.claim, start=1)
    )
    ids = [claim.id for claim in claims]
    for twin in (name for name in ids if ids.count(name) > 1):
        raise UsageError(f"{path}: claim {twin}: id: is given twice")
    thesis = found.thesis
    return ClaimsFile(
        title=found.title,
        source=found.source,
        allocators=found.allocators,
        claims=claims,
        thesis=None if thesis is None else Thesis.read(thesis, where=f"{path}: thesis"),
    )


def _named(entry: object) -> str:
    """How a claim is called that may lack what it must have."""
    name = entry.get("id") if isinstance(entry, Mapping) else None
    return name[:60] if isinstance(name, str) else ""


def _claim(entry: object, *, where: str) -> Claim:
    try:
        found = read(_ClaimTable, entry, strict=True)
    except FieldError as error:
        raise UsageError(f"{where}: {error}") from None
    tables = found.check if isinstance(found.check, list) else [found.check]
    if not tables:
        raise UsageError(f"{where}: check: is empty")
    numbered = len(tables) > 1
    return Claim(
        id=found.id,
        text=found.text,
        source=found.source,
        published=found.published,
        parts=tuple(
            Part(
                *read_check(check, found.published, where=_numbered(where, n if numbered else None))
            )
            for n, check in enumerate(tables, start=1)
        ),
    )


def _numbered(where: str, number: int | None) -> str:
    return f"{where}, check" if number is None else f"{where}, check {number}"
