"""A history as one table, a row a point: for notebooks, DuckDB and whatever else reads Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from allocphase.errors import UsageError
from allocphase.files.durable import write_whole
from allocphase.history.database import History
from allocphase.history.model import Series

__all__ = ["write_parquet"]

# Rows that are written together; readers skip what they do not want by so many.
_ROWS = 1 << 17


def write_parquet(history: History, path: Path) -> int:
    """Writes every point with its series, run and commit; how many they are.

    Raises UsageError where pyarrow is not installed, AllocphaseError where it cannot be written.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise UsageError("--parquet needs pyarrow: pip install 'allocphase[parquet]'") from None
    text, number, figure = arrow.string(), arrow.int64(), arrow.float64()
    kinds = {
        "series": number,
        "scenario": text,
        "scenario_digest": text,
        "allocator": text,
        "metric": text,
        "unit": text,
        "facts_digest": text,
        "value": figure,
        "lower": figure,
        "upper": figure,
        "exact": arrow.bool_(),
        "processes": number,
        "run": text,
        "arm": text,
        "label": text,
        "branch": text,
        "started": text,
        "commit": text,
        "subject": text,
        "commit_time": text,
        "ancestors": number,
    }
    schema = arrow.schema(list(kinds.items()))

    written = 0

    def write(file: Any) -> None:
        nonlocal written
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for rows in _batches(history):
                writer.write_table(_table(arrow, schema, rows))
                written += len(rows)

    write_whole(path, write)
    return written


def _batches(history: History) -> Iterator[list[tuple[object, ...]]]:
    rows: list[tuple[object, ...]] = []
    for entry in history.series():
        rows += _rows(history.load(entry))
        if len(rows) >= _ROWS:
            yield rows
            rows = []
    yield rows


def _table(arrow: Any, schema: Any, rows: Sequence[tuple[object, ...]]) -> Any:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return arrow.table([list(column) for column in columns], schema=schema)


def _rows(series: Series) -> list[tuple[object, ...]]:
    key = series.entry.key
    names = (key.scenario, key.digest, key.allocator, key.metric)
    begin = (series.entry.id, *names, series.entry.unit, key.facts_digest)
    rows = []
    for point in series.points:
        run, commit = point.run, point.commit
        figures = (point.value, point.lower, point.upper, point.exact, point.processes)
        told = (run.path, run.arm, run.label, run.branch, run.started)
        of_commit = (
            (commit.hash, commit.subject, commit.time, commit.ancestors)
            if commit
            else (None, None, None, None)
        )
        rows.append((*begin, *figures, *told, *of_commit))
    return rows
