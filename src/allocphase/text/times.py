"""Points in time as files and people write them: ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

__all__ = ["in_utc"]


def in_utc(text: str, *, zone: tzinfo | None = None) -> datetime:
    """zone: of a text that names none; None: this machine's. Raises ValueError, also for an hour
    at an end of the calendar that lies beyond it in UTC.
    """
    found = datetime.fromisoformat(text)
    try:
        return found.replace(tzinfo=found.tzinfo or zone).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None
