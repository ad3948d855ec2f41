"""The tables of a history, and how an older file comes to have them.

    commits  one row a commit: what it is called, when it was made, how many came before it
    runs     one row a run, or an arm of a gate: whence, when, of which commit
    objects  what each allocator of a run was, so that it can be measured again
    facts    what a metric depends on of a machine: its fingerprint
    series   fingerprint, scenario with its digest, allocator, metric: one line of a chart
    points   a value of a series: by series first, so that a series lies together on the disk

A file says with SQLite's application_id that it is a history, and with user_version how many of
MIGRATIONS it has had. Every one of them is a transaction: a file is of one version or the next.
"""

from __future__ import annotations

import sqlite3

from allocphase.errors import DataError, UsageError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "migrate", "roll_back", "version_of"]

# "aphs", as a number: allocphase's history.
APPLICATION_ID = 0x61706873

_FIRST = """
CREATE TABLE commits (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    time TEXT NOT NULL,
    ancestors INTEGER
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    identity TEXT NOT NULL UNIQUE,
    content TEXT NOT NULL,
    path TEXT NOT NULL,
    arm TEXT NOT NULL,
    label TEXT NOT NULL,
    branch TEXT NOT NULL,
    started TEXT NOT NULL,
    commit_id INTEGER REFERENCES commits (id)
);
CREATE TABLE objects (
    run_id INTEGER NOT NULL REFERENCES runs (id),
    allocator TEXT NOT NULL,
    path TEXT,
    sha256 TEXT,
    config TEXT NOT NULL,
    PRIMARY KEY (run_id, allocator)
) WITHOUT ROWID;
CREATE TABLE facts (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    facts TEXT NOT NULL
);
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    facts_id INTEGER NOT NULL REFERENCES facts (id),
    scenario TEXT NOT NULL,
    digest TEXT NOT NULL,
    allocator TEXT NOT NULL,
    metric TEXT NOT NULL,
    unit TEXT NOT NULL,
    began TEXT NOT NULL,
    UNIQUE (scenario, allocator, metric, digest, facts_id)
);
CREATE TABLE points (
    series_id INTEGER NOT NULL REFERENCES series (id),
    run_id INTEGER NOT NULL REFERENCES runs (id),
    value REAL NOT NULL,
    lower REAL,
    upper REAL,
    exact INTEGER NOT NULL,
    processes INTEGER NOT NULL,
    PRIMARY KEY (series_id, run_id)
) WITHOUT ROWID;
CREATE VIEW told_runs AS
    SELECT r.id, r.path, r.arm, r.label, r.branch, r.started, c.hash, c.subject, c.time, c.ancestors
    FROM runs r LEFT JOIN commits c ON c.id = r.commit_id;
"""
# What a gate said of a change, by what each side is (Point.side); and a cache: the changes that
# were found in certain values, which their digest tells.
_DECISIONS = """
CREATE TABLE decisions (
    series_id INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    verdict TEXT NOT NULL,
    found_before TEXT NOT NULL,
    found_after TEXT NOT NULL,
    ratio REAL,
    gate TEXT NOT NULL,
    decided TEXT NOT NULL,
    PRIMARY KEY (series_id, before, after)
) WITHOUT ROWID;
CREATE TABLE detections (
    series_id INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    branch TEXT NOT NULL,
    digest TEXT NOT NULL,
    changes TEXT NOT NULL,
    PRIMARY KEY (series_id, branch)
) WITHOUT ROWID;
"""
MIGRATIONS = (_FIRST, _DECISIONS)


def version_of(connection: sqlite3.Connection, path: object) -> int:
    """How many migrations a file has had; 0 of an empty one.

    Raises DataError for what is no history, UsageError for one of a later allocphase.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise DataError(f"{path}: is a database, but no history of allocphase: name another --db")
    if version > len(MIGRATIONS):
        raise UsageError(
            f"{path}: has schema version {version}, and this allocphase knows {len(MIGRATIONS)}: "
            "a later one wrote it"
        )
    return int(version)


def migrate(connection: sqlite3.Connection, path: object) -> None:
    """Brings a file to this version; two processes may do so at once. Raises as `version_of`."""
    while version_of(connection, path) < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = version_of(connection, path)  # another process may have been first
            if version < len(MIGRATIONS):
                for statement in MIGRATIONS[version].split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            roll_back(connection)
            raise


def roll_back(connection: sqlite3.Connection) -> None:
    """Undoes what the open transaction did; SQLite has done so itself where a disk is full."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
