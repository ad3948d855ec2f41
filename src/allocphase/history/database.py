"""One file with all that runs said, SQLite's: runs go in whole or not at all, series come out.

Several processes may write at once: each run is one transaction, which waits for the others', and
one that is killed has added nothing. The file alone is all of it: no write-ahead log lies beside
it.

Place in the pipeline: between run directories (reading.py) and whoever shows series.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from allocphase.errors import AllocphaseError, DataError, UsageError
from allocphase.files.durable import named_errors
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
)
from allocphase.history.order import in_order
from allocphase.history.rows import as_text, facts_digest, marked, run_entry, series_entry
from allocphase.history.schema import migrate, roll_back
from allocphase.text.line import plain

__all__ = ["Added", "History", "open_history"]

# A writer waits so long for others; a run of 4,800 values is written in a tenth of a second.
WAIT_S = 60.0


class Added(StrEnum):
    """What became of a run that was added."""

    NEW = "added"
    SAME = "there already"
    RENEWED = "renewed"
    """It was there, and more was measured or told of it since."""


@contextmanager
def open_history(path: Path, *, make: bool = False) -> Iterator[History]:
    """The history in a file; an older one is brought to this version.

    make: it may be a new one, with the folders above it. Raises UsageError where there is none or
    a later allocphase wrote it, DataError where the file is no history or is damaged, and
    AllocphaseError where it cannot be written, or others write for longer than WAIT_S.
    """
    if make:
        with named_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        raise UsageError(f"{path}: no history there: `allocphase history add RUN` makes one")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: is no file")
    with _named(path):
        connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection, path)
            yield History(connection, path)
        finally:
            connection.close()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:  # locked, full, not to be opened
        raise AllocphaseError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"{path}: {error}: move it away, and make a new one with `allocphase history rebuild "
            "FOLDER...`"
        ) from error


class History:
    """An open history: see open_history."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        # Runs by their numbers, which are never given twice: each series has the same ones.
        self._known: dict[int, RunEntry] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written in it, or nothing; no other process writes meanwhile."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            roll_back(self._connection)
            raise

    def known(self, identity: str) -> RunEntry | None:
        """The run of that identity, None where it was not added."""
        row = self._connection.execute(
            "SELECT t.* FROM told_runs t JOIN runs r ON r.id = t.id WHERE r.identity = ?",
            (identity,),
        ).fetchone()
        return None if row is None else run_entry(row)

    def add(self, measured: Measured, *, renew: bool = False) -> Added:
        """A run with all its values, as one transaction; one that is there already is left as it
        is, or renewed: where it has another content, or with `renew`.
        """
        _require_text(measured)
        with self.transaction():
            row = self._connection.execute(
                "SELECT id, content FROM runs WHERE identity = ?", (measured.identity,)
            ).fetchone()
            if row is not None and row[1] == measured.content and not renew:
                return Added.SAME
            if row is not None:
                self._delete_run(row[0])
            self._insert(measured)
        return Added.NEW if row is None else Added.RENEWED

    def runs(self) -> list[RunEntry]:
        """All of them, in the order of their times."""
        return [
            run_entry(row)
            for row in self._connection.execute("SELECT * FROM told_runs ORDER BY started, id")
        ]

    def delete_runs(self, ids: Iterable[int]) -> None:
        """With their points, and series that have none left; within a transaction of its own."""
        with self.transaction():
            for each in ids:
                self._delete_run(each)
            self._drop_empty()

    def shrink(self) -> None:
        """Gives the disk back what rows that are gone took."""
        self._connection.execute("VACUUM")

    def branches(self) -> dict[str, int]:
        """How many runs each branch has, those with most first."""
        rows = self._connection.execute(
            "SELECT branch, count(*) FROM runs GROUP BY branch ORDER BY count(*) DESC, branch"
        )
        return dict(rows.fetchall())

    def series(self) -> list[SeriesEntry]:
        """All of them, those of one name one after the other as they began."""
        rows = self._connection.execute(
            "SELECT s.id, f.digest, s.scenario, s.digest, s.allocator, s.metric, s.unit, s.began, "
            "f.facts FROM series s JOIN facts f ON f.id = s.facts_id "
            "ORDER BY s.scenario, s.metric, s.allocator, s.began, s.id"
        )
        with self._believed():
            return marked([series_entry(row) for row in rows])

    def point_counts(self, *, branch: str | None = None) -> dict[int, int]:
        """How many points each series has of a branch, or of all, by its id."""
        rows = self._connection.execute(
            "SELECT series_id, count(*) FROM points "
            "WHERE run_id IN (SELECT id FROM runs WHERE ?1 IS NULL OR branch = ?1) "
            "GROUP BY series_id",
            (branch,),
        )
        return dict(rows.fetchall())

    def load(self, entry: SeriesEntry, *, branch: str | None = None) -> Series:
        """A series with the points of one branch, or of all."""
        rows = self._connection.execute(
            "SELECT run_id, value, lower, upper, exact, processes FROM points WHERE series_id = ?",
            (entry.id,),
        ).fetchall()
        if any(row[0] not in self._known for row in rows):
            self._known = {run.id: run for run in self.runs()}
        # One that is not known was added by another process between the two.
        points = [
            Point(run, value, lower, upper, bool(exact), processes)
            for number, value, lower, upper, exact, processes in rows
            if (run := self._known.get(number)) is not None
            and (branch is None or run.branch == branch)
        ]
        by_commit, ordered = in_order(points)
        return Series(entry=entry, branch=branch, by_commit=by_commit, points=ordered)

    def objects(self, run_id: int) -> dict[str, ObjectEntry]:
        """What the allocators of a run were, by name."""
        rows = self._connection.execute(
            "SELECT allocator, path, sha256, config FROM objects WHERE run_id = ?", (run_id,)
        )
        with self._believed():
            return {name: ObjectEntry(p, s, json.loads(config)) for name, p, s, config in rows}

    def decisions(self) -> list[Decision]:
        """What gates have said of changes, in the order in which they did."""
        rows = self._connection.execute(
            "SELECT series_id, before, after, verdict, found_before, found_after, ratio, gate, "
            "decided FROM decisions ORDER BY decided"
        )
        with self._believed():
            return [
                Decision(
                    series=series,
                    before=before,
                    after=after,
                    verdict=Decided(verdict),
                    found_before=found_before,
                    found_after=found_after,
                    ratio=ratio,
                    gate=gate,
                    decided=decided,
                )
                for (
                    series,
                    before,
                    after,
                    verdict,
                    found_before,
                    found_after,
                    ratio,
                    gate,
                    decided,
                ) in rows
            ]

    def decide(self, decision: Decision) -> None:
        """Keeps what a gate said; of the same two sides the last one holds."""
        with self.transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    decision.series,
                    decision.before,
                    decision.after,
                    decision.verdict,
                    decision.found_before,
                    decision.found_after,
                    decision.ratio,
                    decision.gate,
                    decision.decided,
                ),
            )

    def detections(self, branch: str) -> dict[int, tuple[str, str]]:
        """By series the digest of the values that were looked at, and what was found: JSON."""
        rows = self._connection.execute(
            "SELECT series_id, digest, changes FROM detections WHERE branch = ?", (branch,)
        )
        return {number: (digest, changes) for number, digest, changes in rows}

    def keep_detections(self, branch: str, found: Mapping[int, tuple[str, str]]) -> None:
        """For the next time; nothing where the file may not be written."""
        if not found or not os.access(self.path, os.W_OK):
            return
        with self.transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO detections SELECT id, ?, ?, ? FROM series WHERE id = ?",
                [(branch, digest, changes, number) for number, (digest, changes) in found.items()],
            )

    @contextmanager
    def _believed(self) -> Iterator[None]:
        """Turns what nobody wrote so into a DataError."""
        try:
            yield
        except ValueError as error:
            raise DataError(f"{self.path}: is not as it was written: {error}") from None

    def _insert(self, measured: Measured) -> None:
        run = self._connection.execute(
            "INSERT INTO runs (identity, content, path, arm, label, branch, started, commit_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                measured.identity,
                measured.content,
                measured.path,
                measured.arm,
                measured.label,
                measured.branch,
                measured.started,
                self._commit_id(measured.commit),
            ),
        ).lastrowid
        self._connection.executemany(
            "INSERT INTO objects VALUES (?, ?, ?, ?, ?)",
            [
                (run, name, one.path, one.sha256, as_text(one.config))
                for name, one in measured.objects.items()
            ],
        )
        series = self._series_ids(measured)
        self._connection.executemany(
            "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (series[i], run, one.value, one.lower, one.upper, one.exact, one.processes)
                for i, one in enumerate(measured.values)
            ],
        )

    def _commit_id(self, commit: CommitEntry | None) -> int | None:
        """What is known of a commit is kept: a repository may tell what an option did not."""
        if commit is None:
            return None
        (found,) = self._connection.execute(
            "INSERT INTO commits (hash, subject, time, ancestors) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (hash) DO UPDATE SET "
            "subject = coalesce(nullif(excluded.subject, ''), subject), "
            "time = coalesce(nullif(excluded.time, ''), time), "
            "ancestors = coalesce(excluded.ancestors, ancestors) RETURNING id",
            (commit.hash, commit.subject, commit.time, commit.ancestors),
        ).fetchone()
        return int(found)

    def _series_ids(self, measured: Measured) -> list[int]:
        """Of each value that of its series, which is made if need be."""
        known: dict[tuple[str, ...], tuple[int, str]] = {
            tuple(row[:5]): (row[5], row[6])
            for row in self._connection.execute(
                "SELECT f.digest, s.scenario, s.digest, s.allocator, s.metric, s.id, s.began "
                "FROM series s JOIN facts f ON f.id = s.facts_id"
            )
        }
        digests: dict[int, str] = {}  # of the same mapping, which many values share
        found = []
        for one in measured.values:
            digest = digests.setdefault(id(one.facts), "") or facts_digest(one.facts)
            digests[id(one.facts)] = digest
            key = (digest, one.scenario, one.digest, one.allocator, one.metric)
            if key not in known:
                known[key] = (self._new_series(one, digest, measured.started), measured.started)
            series, began = known[key]
            if measured.started < began:
                self._connection.execute(
                    "UPDATE series SET began = ? WHERE id = ?", (measured.started, series)
                )
            found.append(series)
        return found

    def _new_series(self, one: MeasuredValue, digest: str, started: str) -> int:
        self._connection.execute(
            "INSERT OR IGNORE INTO facts (digest, facts) VALUES (?, ?)",
            (digest, as_text(one.facts)),
        )
        made = self._connection.execute(
            "INSERT INTO series (facts_id, scenario, digest, allocator, metric, unit, began) "
            "VALUES ((SELECT id FROM facts WHERE digest = ?), ?, ?, ?, ?, ?, ?)",
            (digest, one.scenario, one.digest, one.allocator, one.metric, one.unit, started),
        ).lastrowid
        assert made is not None, "a row was inserted"
        return made

    def _delete_run(self, run: int) -> None:
        """By series, as points lie: there is no index by run, which would double the file."""
        series = self._connection.execute("SELECT id FROM series").fetchall()
        self._connection.executemany(
            "DELETE FROM points WHERE series_id = ? AND run_id = ?", [(*one, run) for one in series]
        )
        self._connection.execute("DELETE FROM objects WHERE run_id = ?", (run,))
        self._connection.execute("DELETE FROM runs WHERE id = ?", (run,))

    def _drop_empty(self) -> None:
        """Series without points, and what only they needed."""
        for statement in (
            "DELETE FROM series WHERE NOT EXISTS "
            "(SELECT 1 FROM points WHERE points.series_id = series.id)",
            "DELETE FROM facts WHERE id NOT IN (SELECT facts_id FROM series)",
            "DELETE FROM commits WHERE id NOT IN "
            "(SELECT commit_id FROM runs WHERE commit_id IS NOT NULL)",
            "UPDATE series SET began = (SELECT min(r.started) FROM points p JOIN runs r "
            "ON r.id = p.run_id WHERE p.series_id = series.id)",
        ):
            self._connection.execute(statement)


def _require_text(measured: Measured) -> None:
    """Raises UsageError for names that are bytes and no text: SQLite has no others."""
    for what, text in (
        ("directory", measured.path),
        ("label", measured.label),
        ("branch", measured.branch),
    ):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise UsageError(f"{plain(measured.path)}: its {what} is no text in UTF-8") from None
