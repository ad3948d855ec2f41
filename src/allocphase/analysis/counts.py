"""What several processes of a cell say, as one: of a count the number where they agree, and a range
where they do not; of a time the confidence of its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from allocphase.stats.values import median

__all__ = ["CONFIDENCE", "counted", "counted_tables"]

# Five rounds bound a median at 93.75%; asking for 95% would leave it open until the sixth.
CONFIDENCE = 0.9


def counted(name: str, values: Sequence[float | None]) -> dict[str, Any]:
    """Under the name what all processes agree on; where they do not, their median, and the range.

    A range is [least, greatest, how many processes]: with so few of them an interval of the median
    would be the same or open, and a count may well have two values and none between. A process
    that has none is left out; None without any.
    """
    known = [value for value in values if value is not None]
    if not known:
        return {name: None}
    if min(known) == max(known):
        return {name: known[0]}
    return {name: _whole(median(known)), f"{name}_range": [min(known), max(known), len(known)]}


def counted_tables(
    name: str, tables: Sequence[Mapping[str, float | None]], *, absent: float | None = 0
) -> dict[str, Any]:
    """The same of tables, whose ranges are a table of their own; absent: what one lacks is."""
    keys = dict.fromkeys(key for table in tables for key in table)
    found = [counted(key, [table.get(key, absent) for table in tables]) for key in keys]
    values = {key: one[key] for key, one in zip(keys, found, strict=True)}
    ranges = {
        key: one[f"{key}_range"] for key, one in zip(keys, found, strict=True) if len(one) > 1
    }
    return {name: values} | ({f"{name}_range": ranges} if ranges else {})


def _whole(value: float) -> float:
    """An even number of processes has a median between two counts."""
    return int(value) if value.is_integer() else value
