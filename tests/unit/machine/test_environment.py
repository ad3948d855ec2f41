"""The CPUs to time on: whole cores before their second threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase.machine.environment import timed_cpus


def kernel(folder: Path, siblings: dict[int, str]) -> Path:
    """A /sys that knows these CPUs' cores."""
    for cpu, text in siblings.items():
        path = folder / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        path.parent.mkdir(parents=True)
        path.write_text(text + "\n")
    return folder


def allow(monkeypatch: pytest.MonkeyPatch, cpus: set[int]) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: cpus)


@pytest.mark.parametrize(
    ("siblings", "order"),
    [
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, [3, 1, 2, 0]),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, [3, 2, 1, 0]),
        ({}, [3, 2, 1, 0]),
    ],
)
def test_one_cpu_of_each_core_comes_before_any_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, siblings: dict[int, str], order: list[int]
) -> None:
    allow(monkeypatch, {0, 1, 2, 3})
    assert timed_cpus(kernel(tmp_path, siblings)) == order


def test_only_what_is_allowed_is_timed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, {1, 2})
    assert timed_cpus(kernel(tmp_path, {1: "0-1", 2: "2-3"})) == [2, 1]
