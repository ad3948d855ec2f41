"""A section as JSON: what `--json` writes, and what claims.json in a run directory holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from allocphase.claim.section import Section
from allocphase.files.durable import write_text
from allocphase.files.typed import load_json, plain

__all__ = ["FILE", "SCHEMA", "read_section", "section_document", "write_section"]

SCHEMA = 1
FILE = "claims.json"


def section_document(section: Section) -> dict[str, Any]:
    """Figures in base units; what has no figure, and an unbounded side, is null."""
    return {"schema": SCHEMA, **plain(section, defaults=True)}


def write_section(section: Section, folder: Path) -> Path:
    """Writes claims.json into the run directory, whole or not at all; returns its path.

    Raises AllocphaseError when it cannot be written.
    """
    text = json.dumps(section_document(section), indent=2, ensure_ascii=False, allow_nan=False)
    path = folder / FILE
    write_text(path, text + "\n")
    return path


def read_section(folder: Path) -> Section | None:
    """The section in a run directory, None where claims were never judged.

    Raises DataError for a claims.json that is not of this schema.
    """
    try:
        return load_json(Section, folder / FILE, schema=SCHEMA)
    except FileNotFoundError:
        return None
