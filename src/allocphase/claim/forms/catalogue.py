"""The forms by name: an explicit list. No expression is ever evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from allocphase.claim.fields import Fields
from allocphase.claim.finding import Check
from allocphase.claim.forms import absolute, arithmetic, count, growth, note, ratio, share
from allocphase.errors import UsageError, shown, unknown

__all__ = ["COMMON_KEYS", "FORMS", "read_check"]

# Of every form: its name, and which part of the claim it decides.
COMMON_KEYS = ("form", "part")

Published = Mapping[str, float]
_Reader = Callable[[Fields, Published], Check]

# form: the keys it knows besides COMMON_KEYS, and its reader
FORMS: dict[str, tuple[tuple[str, ...], _Reader]] = {
    "arithmetic": (arithmetic.KEYS, arithmetic.Arithmetic.read),
    "ratio": (ratio.KEYS, ratio.Ratio.read),
    "quantile_ratio": (ratio.QUANTILE_KEYS, ratio.read_quantile_ratio),
    "count": (count.KEYS, count.Count.read),
    "share": (share.KEYS, share.Share.read),
    "growth": (growth.KEYS, growth.GrowthCheck.read),
    "absolute": (absolute.KEYS, absolute.Absolute.read),
    "note": (note.KEYS, note.Note.read),
}


def read_check(table: Any, published: Published, *, where: str) -> tuple[str, Check]:
    """The file's words for a part of a claim, and the check that decides it.

    Raises UsageError with `where`, the key and what is accepted.
    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{where}: must be a table, not {shown(table)}")
    if "form" not in table:
        raise UsageError(f"{where}: form: missing: one of {', '.join(sorted(FORMS))}")
    form = table["form"]
    if not isinstance(form, str) or form not in FORMS:
        raise UsageError(f"{where}: {unknown('form', str(form), FORMS)}")
    keys, reader = FORMS[form]
    fields = Fields.of(table, where=where, known=(*COMMON_KEYS, *keys))
    part = fields.text("part") if "part" in fields else ""
    return part, reader(fields, published)
