"""A section as JSON: what `--json` writes, and what claims.json in a run directory holds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allocphase.claim.finding import Finding
from allocphase.claim.section import Judged, Section
from allocphase.claim.verdict import Verdict
from allocphase.errors import DataError
from allocphase.files.checks import NUMBER, TEXT, listing, nullable, one_of, table
from allocphase.files.documents import read_json
from allocphase.files.durable import write_whole

__all__ = ["FILE", "SCHEMA", "read_section", "section_document", "write_section"]

SCHEMA = 1
FILE = "claims.json"


def section_document(section: Section) -> dict[str, Any]:
    """Figures in base units; an unbounded side is null, never infinite."""
    return {
        "schema": SCHEMA,
        "title": section.title,
        "source": section.source,
        "run": section.run,
        "machine": section.machine,
        "counts": {verdict.value: count for verdict, count in section.counts.items()},
        "claims": [_claim_document(claim) for claim in section.claims],
        "thesis": list(section.thesis),
    }


def write_section(section: Section, folder: Path) -> Path:
    """Writes claims.json into the run directory, whole or not at all; returns its path.

    Raises AllocphaseError when it cannot be written.
    """
    text = json.dumps(section_document(section), indent=2, ensure_ascii=False, allow_nan=False)
    path = folder / FILE
    write_whole(path, lambda partial: partial.write_text(text + "\n", encoding="utf-8"))
    return path


def read_section(folder: Path) -> Section | None:
    """The section in a run directory, None where claims were never judged.

    Raises DataError for a claims.json that is not of this schema.
    """
    path = folder / FILE
    try:
        document = read_json(path)
    except FileNotFoundError:
        return None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise DataError(f"{path}: schema: this version reads schema {SCHEMA}")
    if fault := _SHAPE(document):
        raise DataError(f"{path}: {fault[1:]}")
    try:
        return _section(document)
    except TypeError as error:  # a key that no finding has
        raise DataError(f"{path}: not a file of judged claims: {error!r}") from None


_FINDING = table(
    {
        **dict.fromkeys(("form", "subject", "expected", "measured"), TEXT),
        "verdict": one_of([verdict.value for verdict in Verdict]),
        **dict.fromkeys(("value", "lower", "upper"), nullable(NUMBER)),
        "notes": listing(TEXT),
    }
)
_CLAIM = table(
    {**dict.fromkeys(("id", "text", "source"), TEXT), "checks": listing(_FINDING, at_least=1)}
)
_SHAPE = table(
    {
        **dict.fromkeys(("title", "source", "run", "machine"), TEXT),
        "claims": listing(_CLAIM),
        "thesis": listing(TEXT),
    }
)


def _claim_document(claim: Judged) -> dict[str, Any]:
    return {
        "id": claim.id,
        "text": claim.text,
        "source": claim.source,
        "verdict": claim.verdict.value,
        "own_figures": None if claim.own_figures is None else claim.own_figures.value,
        "checks": [_finding_document(finding) for finding in claim.findings],
    }


def _finding_document(finding: Finding) -> dict[str, Any]:
    values = {name: getattr(finding, name) for name in Finding.__slots__}
    finite = {key: _finite(values[key]) for key in ("value", "lower", "upper")}
    return {**values, **finite, "verdict": finding.verdict.value, "notes": list(finding.notes)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _section(document: Mapping[str, Any]) -> Section:
    return Section(
        **{key: document[key] for key in ("title", "source", "run", "machine")},
        claims=tuple(_judged(entry) for entry in document["claims"]),
        thesis=tuple(document["thesis"]),
    )


def _judged(entry: Mapping[str, Any]) -> Judged:
    findings = tuple(
        Finding(**{**found, "verdict": Verdict(found["verdict"]), "notes": tuple(found["notes"])})
        for found in entry["checks"]
    )
    return Judged(entry["id"], entry["text"], entry["source"], findings)
