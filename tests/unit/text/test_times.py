"""text/times.py: what a text says, where UTC has it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from allocphase.text.times import in_utc


def test_a_time_is_in_utc_whatever_zone_it_was_written_in() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert in_utc("2026-01-31T14:00:00+02:00") == noon
    assert in_utc("2026-01-31T12:00", zone=UTC) == noon
    assert in_utc("2026-01-31T12:00") == datetime(2026, 1, 31, 12).astimezone(UTC)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-02-30", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"],
)
def test_what_is_no_time_there_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        in_utc(text)
