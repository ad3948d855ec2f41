"""The forms by name: an explicit list. No expression is ever evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from allocphase.claim.fields import Fields
from allocphase.claim.finding import Check
from allocphase.claim.forms import absolute, arithmetic, count, growth, ratio, share
from allocphase.errors import UsageError, shown, unknown

__all__ = ["FORMS", "read_check"]

Published = Mapping[str, float]
_Reader = Callable[[Fields, Published], Check]

# form: the keys it knows besides `form`, and its reader
FORMS: dict[str, tuple[tuple[str, ...], _Reader]] = {
    "arithmetic": (arithmetic.KEYS, arithmetic.Arithmetic.read),
    "ratio": (ratio.KEYS, ratio.Ratio.read),
    "quantile_ratio": (ratio.QUANTILE_KEYS, ratio.read_quantile_ratio),
    "count": (count.KEYS, count.Count.read),
    "share": (share.KEYS, share.Share.read),
    "growth": (growth.KEYS, growth.GrowthCheck.read),
    "absolute": (absolute.KEYS, absolute.Absolute.read),
}


def read_check(table: Any, published: Published, *, where: str) -> Check:
    """One check of a claim. Raises UsageError with `where`, the key and what is accepted."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{where}: must be a table, not {shown(table)}")
    if "form" not in table:
        raise UsageError(f"{where}: form: missing: one of {', '.join(sorted(FORMS))}")
    form = table["form"]
    if not isinstance(form, str) or form not in FORMS:
        raise UsageError(f"{where}: {unknown('form', str(form), FORMS)}")
    keys, reader = FORMS[form]
    return reader(Fields.of(table, where=where, known=("form", *keys)), published)
