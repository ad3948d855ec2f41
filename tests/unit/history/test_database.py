"""history/database.py: runs go in whole, once, and series come out in order."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from allocphase.errors import AllocphaseError, DataError, UsageError
from allocphase.history import CommitEntry, SeriesEntry, open_history
from allocphase.history.database import Added, History
from allocphase.history.schema import APPLICATION_ID, MIGRATIONS
from tests.support.histories import FACTS, commit, run_of, value


def names(found: list[SeriesEntry]) -> list[str]:
    return [entry.key.name for entry in found]


def values_of(history: History, entry: SeriesEntry, branch: str | None = None) -> list[float]:
    return [point.value for point in history.load(entry, branch=branch).points]


def test_a_run_that_is_added_twice_is_there_once(tmp_path: Path) -> None:
    run = run_of(1, [value(10.0), value(3.0, metric="syscalls", unit="count", exact=True)])
    with open_history(tmp_path / "deep" / "h.db", make=True) as history:
        assert history.add(run) is Added.NEW
        assert history.add(run) is Added.SAME
        assert names(history.series()) == ["syscalls:some:mine", "time:some:mine"]
        assert [values_of(history, entry) for entry in history.series()] == [[3.0], [10.0]]
        (found,) = history.runs()
        assert (found.label, found.branch, found.commit) == ("nightly", "main", commit(1))
        assert history.objects(found.id)["mine"].path == "/objects/1.so"


def test_a_run_that_has_more_in_it_takes_the_place_of_what_it_was(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        history.add(run_of(1, [value(10.0)]))
        grown = run_of(1, [value(11.0), value(5.0, metric="p99")], content="second")
        assert history.add(grown) is Added.RENEWED
        assert [values_of(history, entry) for entry in history.series()] == [[5.0], [11.0]]
        assert len(history.runs()) == 1


def test_points_come_in_the_order_of_commits_whenever_they_were_measured(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        for number, day in ((3, "2026-02-01"), (1, "2026-02-02"), (2, "2026-02-03")):
            history.add(run_of(number, [value(float(number))], started=day))
        (entry,) = history.series()
        found = history.load(entry)
        assert found.by_commit
        assert [point.value for point in found.points] == [1.0, 2.0, 3.0]


def test_one_commit_that_no_repository_knows_leaves_times_to_order_all(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        history.add(run_of(2, [value(2.0)], started="2026-02-01"))
        history.add(run_of(1, [value(1.0)], started="2026-02-02"))
        history.add(run_of(3, [value(3.0)], started="2026-01-15", commit=None))
        found = history.load(history.series()[0])
        assert not found.by_commit
        assert [point.value for point in found.points] == [3.0, 2.0, 1.0]


def test_what_a_repository_says_of_a_commit_is_kept_once_it_is_known(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        history.add(run_of(1, [value(1.0)], commit=CommitEntry(commit(1).hash)))
        history.add(run_of(2, [value(1.0)], commit=commit(1)))
        history.add(run_of(3, [value(1.0)], commit=CommitEntry(commit(1).hash)))
        assert {run.commit for run in history.runs()} == {commit(1)}


def test_another_digest_or_fact_begins_a_series_that_says_so(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        history.add(run_of(1, [value(1.0)]))
        history.add(run_of(2, [value(2.0, digest="e" * 64)]))
        history.add(run_of(3, [value(3.0, digest="e" * 64, facts={**FACTS, "cpus": 4})]))
        first, second, third = history.series()
        assert (first.mark, second.mark, third.mark) == (
            "",
            "the scenario does something else now",
            "cpus: 2 then, 4 now",
        )
        assert (first.previous, second.previous, third.previous) == (None, first.id, second.id)
        assert [values_of(history, entry) for entry in history.series()] == [[1.0], [2.0], [3.0]]


def test_a_branch_has_its_own_points(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        for number in range(3):
            history.add(run_of(number, [value(float(number))]))
        history.add(run_of(7, [value(70.0)], branch="topic"))
        (entry,) = history.series()
        assert history.branches() == {"main": 3, "topic": 1}
        assert history.point_counts(branch="main") == {entry.id: 3}
        assert values_of(history, entry, "topic") == [70.0]
        assert values_of(history, entry, "main") == [0.0, 1.0, 2.0]
        assert values_of(history, entry) == [0.0, 1.0, 2.0, 70.0]


def test_what_another_process_adds_is_there_at_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    with open_history(path, make=True) as history, open_history(path) as other:
        history.add(run_of(1, [value(1.0)]))
        (entry,) = history.series()
        assert values_of(history, entry) == [1.0]
        other.add(run_of(2, [value(2.0)]))
        other.add(run_of(1, [value(3.0)], content="second"))
        assert values_of(history, entry) == [3.0, 2.0]


def test_with_its_last_point_a_series_goes(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        history.add(run_of(1, [value(1.0), value(1.0, metric="gone")]))
        history.add(run_of(2, [value(2.0)]))
        history.delete_runs([history.runs()[0].id])
        assert names(history.series()) == ["time:some:mine"]
        assert history.series()[0].began == history.runs()[0].started
        assert history.point_counts() == {history.series()[0].id: 1}


def test_an_older_file_is_brought_to_this_version_with_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "h.db"
    with monkeypatch.context() as older:
        older.setattr("allocphase.history.schema.MIGRATIONS", MIGRATIONS[:1])
        with open_history(path, make=True) as history:
            history.add(run_of(1, [value(1.0)]))
    with open_history(path) as history:
        assert values_of(history, history.series()[0]) == [1.0]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.close()


def test_a_migration_that_fails_has_changed_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "h.db"
    with open_history(path, make=True) as history:
        history.add(run_of(1, [value(1.0)]))
    broken = "ALTER TABLE runs ADD COLUMN host TEXT;\nCREATE TABLE runs (id)"
    with monkeypatch.context() as later:
        later.setattr("allocphase.history.schema.MIGRATIONS", (*MIGRATIONS, broken))
        with pytest.raises(AllocphaseError, match="table runs already exists"), open_history(path):
            pass
    with open_history(path) as history:
        assert len(history.runs()) == 1


def test_a_file_of_a_later_allocphase_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    with open_history(path, make=True):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UsageError, match="schema version 99"), open_history(path):
        pass


def test_what_nobody_wrote_so_is_told_by_the_file_s_name(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    with open_history(path, make=True) as history:
        history.add(run_of(1, [value(1.0)]))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE facts SET facts = 'no JSON'")
    connection.execute("INSERT INTO decisions VALUES (1, 'a', 'b', 'perhaps', '', '', 1, '', '')")
    connection.commit()
    connection.close()
    with open_history(path) as history:
        for read in (history.series, history.decisions):
            with pytest.raises(DataError, match=r"h\.db: is not as it was written"):
                read()


def test_a_directory_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    with (
        open_history(tmp_path / "h.db", make=True) as history,
        pytest.raises(UsageError, match="its directory is no text in UTF-8"),
    ):
        history.add(run_of(1, [value(1.0)], path="/runs/\udcff"))


def test_what_is_no_history_is_told_by_its_name(tmp_path: Path) -> None:
    absent, text, other, pipe = (tmp_path / name for name in ("absent", "text", "other", "pipe"))
    text.write_text("no database " * 100, encoding="utf-8")
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE somebody (id)")
    connection.close()
    os.mkfifo(pipe)
    for path, error, words in (
        (absent, UsageError, "no history there: `allocphase history add RUN` makes one"),
        (text, DataError, "file is not a database: move it away"),
        (other, DataError, "is a database, but no history of allocphase"),
        (pipe, UsageError, "is no file"),
    ):
        with pytest.raises(error, match=words) as found, open_history(path):
            pass
        assert str(path) in str(found.value)
    assert not absent.exists()
    assert APPLICATION_ID < 2**31
