"""A share as people write it: with a percent sign, or as a number below 1.

`3` alone is refused: whoever forgets the sign of 3% would get 300%, and a limit that nothing
breaks.
"""

from __future__ import annotations

import math

__all__ = ["parse_share"]

MAX_SHARE = 10.0


def parse_share(given: str | float) -> float:
    """ "2%", "0.02" or 0.02 -> 0.02; "150%" -> 1.5. Raises ValueError with what is accepted."""
    text = given.strip() if isinstance(given, str) else f"{given!r}"
    is_percentage = text.endswith("%")
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = math.nan
    share = number / 100.0 if is_percentage else number
    if not 0.0 <= number / 100.0 < MAX_SHARE:
        raise ValueError(f"must be a share between 0% and {MAX_SHARE:.0%}, such as 2% or 0.02")
    if share >= 1.0 and not is_percentage:
        raise ValueError(f"must be a share with a % or below 1: {_spellings(number)}?")
    return share


def _spellings(percent: float) -> str:
    """Of that many percent: "3% or 0.03"; only the first where the second is not below 1."""
    written = f"{percent:.12g}%"
    return written if percent >= 100.0 else f"{written} or {percent / 100.0:.12g}"
