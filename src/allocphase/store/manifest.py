"""run.json: what was planned, on which machine, on what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from allocphase.errors import UsageError
from allocphase.files.checks import (
    COUNT,
    FLAG,
    NAME,
    TEXT,
    anything,
    at_most,
    entries,
    listing,
    nullable,
    table,
)
from allocphase.files.documents import read_json

__all__ = ["MANIFEST", "MAX_ROUNDS", "SCHEMA", "read_manifest"]

SCHEMA = 2
# Rounds become rows of arrays; the command line allows a thousandth of it.
MAX_ROUNDS = 1_000_000
# 2^32 - 1 is all that a trace file can name.
_OPERATIONS = at_most(0xFFFFFFFF)
MANIFEST = table(
    {
        "label": TEXT,
        "started": TEXT,
        "command": listing(TEXT),
        "environment": entries(anything),
        "plan": table(
            {"rounds": at_most(MAX_ROUNDS)},
            {
                "processes": COUNT,
                "seed": nullable(COUNT),
                "left_out": entries(listing(TEXT)),
            },
        ),
        "allocators": listing(
            table(
                {"name": NAME},
                {
                    "summary": TEXT,
                    "path": nullable(TEXT),
                    "sha256": nullable(TEXT),
                    "config": entries(TEXT),
                    "floor": FLAG,
                },
            )
        ),
        "scenarios": listing(
            table(
                {"name": NAME, "operations": _OPERATIONS, "parameters": entries(anything)},
                {
                    **dict.fromkeys(("title", "stands_for", "source", "does_not_show"), TEXT),
                    "digest": TEXT,
                    "operation_counts": entries(COUNT),
                    "threads": COUNT,
                    "peak_live_bytes": COUNT,
                },
            )
        ),
    }
)


def read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = read_json(path)
    except FileNotFoundError:
        raise UsageError(f"{path.parent}: no run directory: there is no run.json in it") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise UsageError(f"{path}: schema: this version reads schema {SCHEMA}")
    if fault := MANIFEST(manifest):
        raise UsageError(f"{path}: {fault[1:]}")
    return dict(manifest)
