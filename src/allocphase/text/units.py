"""Base units inside (ns, bytes, plain ratios); scaled here, and only when something is printed."""

from __future__ import annotations

import math

__all__ = [
    "counted",
    "format_bytes",
    "format_count",
    "format_in",
    "format_ns",
    "format_ns_range",
    "format_per_second",
    "format_rate",
    "format_ratio",
    "plural",
]

_NS_SCALES = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_BYTE_SCALES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
_RATE_SCALES = ((1e9, "G/s"), (1e6, "M/s"), (1e3, "k/s"), (1.0, "/s"))
MISSING = "-"


def _three_digits(value: float) -> str:
    """At least three significant digits, never an exponent: 1234, 123, 12.3, 1.23."""
    magnitude = abs(value)
    decimals = 0 if magnitude >= 100 else 1 if magnitude >= 10 else 2
    return f"{value:,.{decimals}f}"


def _scaled(value: float | None, scales: tuple[tuple[float, str], ...]) -> str:
    if value is None or math.isnan(value):
        return MISSING
    for factor, unit in scales:
        if abs(value) >= factor:
            return f"{_three_digits(value / factor)} {unit}"
    return f"{_three_digits(value)} {scales[-1][1]}" if value else f"0 {scales[-1][1]}"


def format_ns(value_ns: float | None) -> str:
    """12345.6 -> "12.3 µs"; "-" where there is no value."""
    return _scaled(value_ns, _NS_SCALES)


def format_ns_range(low_ns: float, high_ns: float) -> str:
    """ "2.81 to 3.40 ns"; the lower end has its own unit where that is another one."""
    (low, unit), high = format_ns(low_ns).split(" "), format_ns(high_ns)
    return f"{low} to {high}" if high.endswith(f" {unit}") else f"{low} {unit} to {high}"


def format_bytes(value_bytes: float | None) -> str:
    """1536 -> "1.50 KiB"; "-" where there is no value."""
    return _scaled(value_bytes, _BYTE_SCALES)


def format_per_second(value: float | None) -> str:
    """12345678.9 -> "12.3 M/s"; "-" where there is no value."""
    return _scaled(value, _RATE_SCALES)


def format_count(value: float | None) -> str:
    """Whole numbers with thousands separators, others with three digits."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:,.0f}" if float(value).is_integer() else _three_digits(value)


def format_ratio(value: float | None) -> str:
    """1.2345 -> "1.23x"."""
    return MISSING if value is None or math.isnan(value) else f"{_three_digits(value)}x"


def format_rate(value: float | None) -> str:
    """Six digits: of a rate that is exact, one more in ten thousand is a change."""
    return MISSING if value is None or math.isnan(value) else f"{value:,.6g}"


_FORMATS = {"ns": format_ns, "bytes": format_bytes, "count": format_count, "rate": format_rate}


def format_in(unit: str, value: float) -> str:
    """A figure of a row: its unit is ns, bytes, count or rate."""
    return _FORMATS[unit](value)


def plural(noun: str, count: float) -> str:
    """ "process", 2 -> "processes"; its singular for 1."""
    if count == 1:
        return noun
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def counted(count: float, noun: str) -> str:
    """ "1 process", "1,234 processes"."""
    return f"{format_count(count)} {plural(noun, count)}"
