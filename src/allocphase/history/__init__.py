"""What runs said, over commits: a database of values, its series, and where they change.

It is a cache of run directories and can be made anew from them. A change point is advice: a gate of
the two commits decides (commands/confirm.py).

    model      the words: runs, commits, series, points
    schema     the tables, and how an older file comes to have them
    database   one file, SQLite's: runs in, series out; rows, order: how both are read
    reading    a run directory's values
    changes    where series change, and what gates said of that; choice: which are meant
    text       all of it on a terminal; parquet: as one table
"""

from __future__ import annotations

from allocphase.history.changes import Change, changes_of
from allocphase.history.database import History, open_history
from allocphase.history.model import (
    CommitEntry,
    Decided,
    Decision,
    Measured,
    MeasuredValue,
    ObjectEntry,
    Point,
    RunEntry,
    Series,
    SeriesEntry,
    SeriesKey,
)

__all__ = [
    "Change",
    "CommitEntry",
    "Decided",
    "Decision",
    "History",
    "Measured",
    "MeasuredValue",
    "ObjectEntry",
    "Point",
    "RunEntry",
    "Series",
    "SeriesEntry",
    "SeriesKey",
    "changes_of",
    "open_history",
]
