"""A claims file: what somebody published, or promises, of allocators. Read strictly.

docs/claims.md teaches the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocphase import resources
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Check
from allocphase.claim.forms import read_check
from allocphase.claim.thesis import Thesis
from allocphase.errors import UsageError, unknown
from allocphase.files.documents import read_toml

__all__ = ["Claim", "ClaimsFile", "load"]

_KEYS = ("title", "source", "allocators", "claim", "thesis")
_CLAIM_KEYS = ("id", "text", "source", "published", "check")


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim; it holds when all of its checks do."""

    id: str
    text: str
    source: str
    published: Mapping[str, float]
    checks: tuple[Check, ...]


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
    path = _find(spec)
    return _read(read_toml(path), where=str(path))


def _find(spec: str) -> Path:
    if spec.endswith(".toml") or "/" in spec:
        return Path(spec)
    own = {path.stem: path for root in resources.folders("claims") for path in root.glob("*.toml")}
    if spec not in own:
        raise UsageError(unknown("claims file", spec, own))
    return own[spec]


def _read(table: Mapping[str, Any], *, where: str) -> ClaimsFile:
    fields = Fields.of(table, where=where, known=_KEYS)
    entries = fields.value("claim")
    if not isinstance(entries, list) or not entries:
        raise fields.fail("claim", "must be [[claim]] tables, one at least")
    claims = tuple(
        _claim(entry, where=f"{where}: claim {number}")
        for number, entry in enumerate(entries, start=1)
    )
    ids = [claim.id for claim in claims]
    for twin in (name for name in ids if ids.count(name) > 1):
        raise UsageError(f"{where}: claim {twin}: id: is given twice")
    thesis = table.get("thesis")
    return ClaimsFile(
        title=fields.text("title"),
        source=fields.text("source"),
        allocators=_texts(table.get("allocators", {}), where=f"{where}: allocators"),
        claims=claims,
        thesis=None if thesis is None else Thesis.read(thesis, where=f"{where}: thesis"),
    )


def _claim(entry: object, *, where: str) -> Claim:
    named = entry.get("id") if isinstance(entry, Mapping) else None
    if isinstance(named, str) and named:
        where = f"{where.rpartition(' ')[0]} {named[:60]}"
    fields = Fields.of(entry, where=where, known=_CLAIM_KEYS)
    published = _numbers(fields)
    checks = fields.value("check")
    tables = checks if isinstance(checks, list) else [checks]
    if not tables:
        raise fields.fail("check", "is empty")
    numbered = len(tables) > 1
    return Claim(
        id=fields.text("id"),
        text=fields.text("text"),
        source=fields.text("source"),
        published=published,
        checks=tuple(
            read_check(check, published, where=f"{where}, check{f' {n}' if numbered else ''}")
            for n, check in enumerate(tables, start=1)
        ),
    )


def _numbers(fields: Fields) -> Mapping[str, float]:
    table = fields.table.get("published", {})
    where = f"{fields.where}: published"
    inner = Fields.of(table, where=where, known=list(table) if isinstance(table, Mapping) else ())
    return {name: inner.number(name) for name in inner.table}


def _texts(table: object, *, where: str) -> Mapping[str, str]:
    fields = Fields.of(table, where=where, known=list(table) if isinstance(table, Mapping) else ())
    return {name: fields.text(name) for name in fields.table}
