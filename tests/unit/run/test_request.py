"""From options to cells: what a run takes when somebody or something was not named."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allocphase import resources
from allocphase.allocator import resolve
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.probe.probe import Probe
from allocphase.run.request import Request, RunOptions, requested
from tests.support.scenarios import traced

SLOW, LONG, SHORT = "phase21", "larson", "phase-report"


def request(*, say: Callable[[str], None] = lambda _: None, **changes: Any) -> Request:
    options: dict[str, Any] = {
        "allocators": (),
        "scenarios": (),
        "sweep": None,
        "probes": (),
        "rounds": 5,
        "quick": False,
        "time_budget_s": math.inf,
        "seed": 1,
        "timeout_s": 60.0,
        "syscall_backend": "auto",
        "out": Path("out"),
        "label": "run",
    }
    return requested(RunOptions(**{**options, **changes}), command=["run"], say=say)


def has_cell(made: Request, allocator: str, scenario: str) -> bool:
    cell = (allocator, scenario, Probe.THROUGHPUT.value)
    named = allocator in {found.name for found in made.allocators}
    return named and (made.only is None or cell in made.only)


@pytest.mark.parametrize("quick", [False, True])
def test_a_slow_allocator_that_nobody_named_stays_out_of_long_scenarios(quick: bool) -> None:
    made = request(quick=quick)
    assert has_cell(made, SLOW, SHORT)
    assert has_cell(made, "libc", LONG)
    assert not has_cell(made, SLOW, LONG)


THERE = 'title = "T"\nsummary = "s"\nkind = "libc"\n'
ABSENT = THERE.replace("libc", "preload") + '[preload]\nlibraries = ["libno.so.9"]\n'


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Allocators of that name and with that allocator.toml, in place of the package's."""
    scenarios = resources.folders("scenarios")
    folders = {"allocators": [tmp_path], "scenarios": scenarios}
    monkeypatch.setattr(resources, "collection_folders", lambda name: folders[name])

    def make(**texts: str) -> Path:
        for name, text in texts.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "allocator.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("newer", "words", "names"),
    [
        (THERE, (), ["libc", "newer", "null"]),
        (ABSENT, (), ["libc", "null", "older"]),
        (THERE, ("default",), ["libc", "newer", "null"]),
        (THERE, ("all",), ["libc", "newer", "null", "older"]),
        (THERE, ("default", "older"), ["libc", "newer", "null", "older"]),
        (THERE, ("newer", "all"), ["libc", "null", "older", "newer"]),
    ],
)
def test_of_two_that_are_one_the_default_set_has_the_newer_where_it_is_installed(
    collection: Callable[..., Path], newer: str, words: tuple[str, ...], names: list[str]
) -> None:
    older = f'{THERE}default_unless = "newer"\n'
    collection(libc=THERE, newer=newer, null=f"{THERE}correct = false\n", older=older)
    said: list[str] = []
    made = request(allocators=words, scenarios=(SHORT,), say=said.append)
    assert [found.name for found in made.allocators] == names
    left_out = ["not in the default set: older; -a all has them"]
    absent = ["newer: not installed: apt-get install the package that provides it"]
    assert said == (absent if newer == ABSENT else [] if "older" in names else left_out)


def test_beside_the_default_set_only_what_was_named_runs_everywhere() -> None:
    made = request(allocators=("default", SLOW))
    assert has_cell(made, SLOW, LONG)
    assert has_cell(made, "libc", LONG)
    assert not has_cell(made, "phase2", LONG)
    assert has_cell(made, "phase2", SHORT)


@pytest.mark.parametrize("several", ["all", "phase*"])
def test_of_several_a_slow_one_that_nobody_named_stays_out_of_long_scenarios(several: str) -> None:
    made = request(allocators=(several,))
    assert not has_cell(made, SLOW, LONG)
    assert has_cell(made, SLOW, SHORT)
    assert has_cell(made, "phase3", LONG)


def test_of_a_glob_what_is_not_installed_is_said_and_left_out(
    collection: Callable[..., Path],
) -> None:
    collection(one=THERE, other=ABSENT, null=f"{THERE}correct = false\n")
    said: list[str] = []
    made = request(allocators=("o*",), scenarios=(SHORT,), say=said.append)
    assert [found.name for found in made.allocators] == ["one"]
    assert said == ["other: not installed: apt-get install the package that provides it"]
    with pytest.raises(UsageError, match=r"^allocator other: not installed: "):
        request(allocators=("o*", "other"))
    with pytest.raises(NothingMeasuredError, match=r"^none of these allocators is installed: "):
        request(allocators=("[o]ther",))
    with pytest.raises(UsageError, match=r"^allocator 'x\*' does not exist: "):
        request(allocators=("x*",))


def test_an_allocator_from_a_file_keeps_the_name_that_it_was_given(tmp_path: Path) -> None:
    """Settings are in a name only to tell several apart, or where nobody gave one."""
    path = tmp_path / "mine.so"
    path.write_bytes((resolve("phase2")[0].path or path).read_bytes())
    (one,) = request(allocators=[f"mine={path}?objects_per_slab=8"]).allocators
    assert (one.name, dict(one.config)) == ("mine", {"objects_per_slab": "8"})
    several = request(allocators=[f"mine={path}?objects_per_slab=1,8", "phase2?objects_per_slab=8"])
    assert [each.name for each in several.allocators] == [
        "mine?objects_per_slab=1",
        "mine?objects_per_slab=8",
        "phase2?objects_per_slab=8",
    ]
    with pytest.raises(UsageError, match=r"'mine' is named twice: give the second NAME= of"):
        request(allocators=[f"mine={path}?objects_per_slab=1", f"mine={path}?objects_per_slab=8"])


def test_work_between_calls_is_swept_like_a_parameter() -> None:
    found = request(scenarios=(SHORT,), sweep="work_ns=0,25,75").scenarios
    assert [(one.name, traced(one).work_ns) for one in found] == [
        (f"{SHORT}?work_ns={work_ns}", work_ns) for work_ns in (0, 25, 75)
    ]


def test_an_allocator_that_was_named_runs_everywhere() -> None:
    assert has_cell(request(allocators=(SLOW,)), SLOW, LONG)


def test_in_a_first_look_it_runs_there_only_when_the_scenario_was_named_too() -> None:
    assert not has_cell(request(allocators=(SLOW,), quick=True), SLOW, LONG)
    assert has_cell(request(allocators=(SLOW,), scenarios=(LONG,), quick=True), SLOW, LONG)


def test_a_first_look_is_one_round_without_verification_and_says_that_it_is_one() -> None:
    made = request(quick=True)
    assert made.quick
    assert made.rounds == 1
    assert Probe.VERIFY not in made.probes
    assert Probe.VERIFY in request().probes
    assert list(request(quick=True, probes=("verify",)).probes) == [Probe.VERIFY]
