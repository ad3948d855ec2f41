"""report/page/history.py: a history as a page, made of a database by the code that fills one."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest

from allocphase.history import History, changes_of, open_history
from allocphase.report.page.history import MOST_POINTS, page
from tests.support.histories import add_commits, commit, run_of, value


def rendered(history: History, folder: Path, **more: int) -> str:
    found = [history.load(entry) for entry in history.series()]
    return page(found, changes_of(history, found), folder=folder, **more)


def panels(text: str) -> list[str]:
    return re.findall(r"<article.*?</article>", text, flags=re.DOTALL)


def drawn(panel: str) -> list[list[object]]:
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', panel)
    found: list[list[object]] = json.loads(data)
    return found


def noisy(number: int) -> float:
    return float(100.0 * np.exp(np.random.default_rng(number).normal(0.0, 0.005)))


@pytest.fixture
def text(tmp_path: Path) -> str:
    """30 commits: the time of `mine` is a tenth longer from the 18th on; of another it stays."""
    (tmp_path / "runs" / "3").mkdir(parents=True)
    (tmp_path / "runs" / "3" / "report.html").touch()
    with open_history(tmp_path / "h.db", make=True) as history:
        for number in range(30):
            factor = 1.1 if number >= 18 else 1.0
            values = [
                value(noisy(number), allocator="<i>steady</i>"),
                value(factor * noisy(1000 + number)),
            ]
            path = str(tmp_path / "runs" / str(number))
            history.add(run_of(number, values, path=path))
        return rendered(history, tmp_path)


def test_what_changed_comes_first_with_where_and_by_how_much(text: str) -> None:
    first, second = panels(text)
    assert 'data-allocator="mine"' in first and 'class="changed"' in first
    assert first.count('class="mark advice"') == 1 and 'class="mark' not in second
    (row,) = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", text)
    assert "Change 18" in row and "not confirmed yet" in row
    (by,) = re.findall(r'<td class="advice">\+([\d.]+)%</td>', row)
    assert float(by) == pytest.approx(10.0, abs=1.0)


def test_a_point_names_its_commit_its_value_with_interval_and_its_run_s_report(text: str) -> None:
    points = drawn(panels(text)[0])
    assert len(points) == 30
    (runs,) = re.findall(r'<script type="application/json" id="runs">(.*?)</script>', text)
    table = json.loads(runs)
    run, _, _, said = points[3]
    assert isinstance(run, int) and isinstance(said, str)
    assert re.fullmatch(r"[\d.]+ ns \([\d.]+ ns to [\d.]+ ns\)", said)
    assert table[run] == [commit(3).short, "Change 3", "2026-01-04 00:00", "runs/3/report.html"]
    assert [row[3] for row in table if row is not table[run]] == [""] * 29  # these have none


def test_no_name_becomes_markup(text: str) -> None:
    assert "<i>steady" not in text
    assert "<i>steady</i>" in html.unescape(text)


def test_a_long_series_is_thinned_and_keeps_its_outlier_and_its_change(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        figures = {"metric": "syscalls", "unit": "count", "exact": True}
        add_commits(history, 700, lambda number: 9.0 if number == 333 else 7.0, **figures)
        (panel,) = panels(rendered(history, tmp_path))
    points = drawn(panel)
    assert len(points) <= MOST_POINTS + 6
    assert f"{len(points)} of 700 points are drawn." in panel
    assert sum(point[3] == "9 (exact)" for point in points) == 1
    assert panel.count('class="mark advice"') == 2  # up, and down again


def test_what_was_left_out_is_said(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        add_commits(history, 3, noisy)
        assert "1 series; 41 more are in the database" in rendered(history, tmp_path, left_out=41)
