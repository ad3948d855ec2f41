"""Which tool a profile is made by, and what is said where none is there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from allocphase.errors import UsageError
from allocphase.profile import callgrind, perf, profiling
from allocphase.profile.perf import PerfError
from allocphase.profile.profiling import Profiled, Tool
from allocphase.scenario import ad_hoc
from tests.support.gates import small_scenario
from tests.support.profiles import PROFILES
from tests.support.runs import FakeExecutor, fake_allocator

ARMS = [fake_allocator("one"), fake_allocator("two")]


def made(tool: Tool, said: list[str] | None = None, **changes: Any) -> Profiled:
    values: dict[str, Any] = {"scenario": small_scenario(), "tool": tool, "timeout_s": 5.0}
    words: list[str] = [] if said is None else said
    return profiling.profile(
        ARMS, executor=FakeExecutor(), say=words.append, **{**values, **changes}
    )


@pytest.fixture(autouse=True)
def _by_callgrind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callgrind, "profiled", lambda *_, **__: PROFILES[0])
    monkeypatch.setattr(profiling, "find_valgrind", lambda: Path("/usr/bin/valgrind"))


def refuse_second(monkeypatch: pytest.MonkeyPatch) -> None:
    def profiled(allocator: Any, *_: Any, **__: Any) -> Any:
        if allocator.name == "two":
            raise PerfError("perf names 3% of two's samples")
        return PROFILES[1]

    monkeypatch.setattr(perf, "profiled", profiled)


def test_all_are_by_callgrind_where_perf_fails_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_second(monkeypatch)
    said: list[str] = []
    found = made("auto", said)
    assert found.profiles == (PROFILES[0], PROFILES[0])
    assert found.fallen_back == "perf names 3% of two's samples"
    assert said == ["perf names 3% of two's samples; by callgrind, then"]


def test_who_asks_for_perf_gets_it_or_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_second(monkeypatch)
    with pytest.raises(UsageError, match="--tool perf: perf names 3% of two's samples"):
        made("perf")


def test_who_asks_for_callgrind_does_not_wait_for_perf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf, "profiled", lambda *_, **__: pytest.fail("perf was started"))
    assert made("callgrind").fallen_back == ""


def test_without_either_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(profiling, "find_valgrind", lambda: None)
    with pytest.raises(UsageError, match=r"linux-perf.*; and valgrind is .*apt-get install val"):
        made("auto")


def test_a_program_takes_perf_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    program = ad_hoc("/bin/true")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match="a program needs perf: perf is not installed: apt-get"):
        made("auto", scenario=program)
    with pytest.raises(UsageError, match="--tool callgrind is for scenarios with a trace"):
        made("callgrind", scenario=program)
