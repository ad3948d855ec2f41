"""Scenario files: strict, found by name, glob or path, and the same trace each time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from allocphase import resources, scenario
from allocphase.errors import UsageError
from allocphase.scenario import Program, Scenario
from allocphase.scenario.families import FAMILIES
from allocphase.trace.records import Touch
from tests.support.scenarios import TRACED, load_traced, resolve_traced

SCENARIOS = Path(__file__).parents[3] / "scenarios"
SHIPPED = sorted(SCENARIOS.glob("*.toml"))

GOOD = """
title = "t"
stands_for = "s"
source = "o"
does_not_show = "d"
family = "window"
seed = 7
touch = "first"

[parameters]
allocations = 20
live = 4
size_min = 1
size_max = 9
"""


def written(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def loaded(folder: Path, text: str = GOOD) -> Scenario:
    return load_traced(written(folder, text))


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenarios of the checkout are those of the package, however it is installed."""
    monkeypatch.setattr(resources, "folders", lambda _: [SCENARIOS])
    monkeypatch.setattr(resources, "collection_folders", lambda _: [SCENARIOS])


# ---- A file --------------------------------------------------------------------


def test_a_file_becomes_a_scenario_of_its_name(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    assert found.name == "mine"
    assert found.touch is Touch.FIRST
    assert found.seed == 7
    assert not found.default
    assert found.parameters == {"allocations": 20, "live": 4, "size_min": 1, "size_max": 9}


def test_parameters_with_a_default_may_be_left_out(tmp_path: Path) -> None:
    text = GOOD.replace('"window"', '"batch"').replace("live = 4", "")
    assert loaded(tmp_path, text).parameters["batches"] == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 7", "", "seed: missing"),
        ("seed = 7", 'seed = "7"', "seed: must be an integer of 0 or more, not '7'"),
        ("seed = 7", "seed = true", "seed: must be an integer of 0 or more, not True"),
        ("seed = 7", "seed = -1", "seed: must be an integer of 0 or more, not -1"),
        ("seed = 7", "seed = 7\nsede = 8", "key 'sede' does not exist: did you mean 'seed'?"),
        ('title = "t"', 'title = ""', "title: must be a string that is not empty, not ''"),
        ('"window"', '"windows"', "family: name 'windows' does not exist: did you mean 'window'?"),
        ('"first"', '"frist"', "touch: name 'frist' does not exist: did you mean 'first'?"),
        (
            '"first"',
            '"first"\nwork_ns = -1',
            "work_ns: must be an integer between 0 and 1000000, not -1",
        ),
        ('"first"', '"first"\nwork_ns = 2.5', "work_ns: must be an integer between 0 and 1000000"),
        ('"first"', '"first"\nwork = 2', "key 'work' does not exist: did you mean 'work_ns'?"),
        ("live = 4", "live = 4\nwork_ns = 25", "parameters.work_ns: is no family's own"),
        ("live = 4", "", "parameters: live: missing"),
        ("live = 4", "live = 4\nlove = 5", "'love' does not exist: did you mean 'live'?"),
        ("live = 4", "live = 0", "live: must be at least 1, not 0"),
        ("live = 4", "live = 4.5", "live: must be an integer, not 4.5"),
        ("live = 4", 'live = "many"', "live: must be an integer, not 'many'"),
        ("size_max = 9", "size_max = 9_999_999_999", "size_max: must be at most"),
        ("size_min = 1", "size_min = 10", "size_min: is 10, more than size_max 9"),
        (
            GOOD[GOOD.index("[parameters]") :],
            "parameters = 3",
            "parameters: must be a table, not 3",
        ),
        ("seed = 7", "seed =", "not a TOML file"),
    ],
)
def test_a_wrong_file_gets_one_line_with_file_key_and_reason(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    with pytest.raises(UsageError) as raised:
        loaded(tmp_path, GOOD.replace(old, new))
    assert str(raised.value).startswith(f"{tmp_path / 'mine.toml'}: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a TOML file"):
        load_traced(path)


def test_parameters_that_contradict_each_other_are_refused_when_generated(tmp_path: Path) -> None:
    text = (SCENARIOS / "fleet.toml").read_text().replace("rates = [350, ", "rates = [")
    with pytest.raises(UsageError, match="scenario mine: sizes: must be as many as rates"):
        scenario.generate(loaded(tmp_path, text))


# ---- Sweeps --------------------------------------------------------------------


def test_a_point_of_a_sweep_has_its_parameters_in_its_name(tmp_path: Path) -> None:
    found = loaded(tmp_path).with_parameters({"live": 8})
    assert found.name == "mine?live=8"
    assert found.parameters["live"] == 8
    assert scenario.generate(found).slot_count == 8


def test_a_parameter_set_twice_is_named_once(tmp_path: Path) -> None:
    found = loaded(tmp_path).with_parameters({"live": 8, "size_max": 10})
    assert found.with_parameters({"live": 9}).name == "mine?live=9&size_max=10"


def test_the_text_of_a_command_line_becomes_the_parameters_type(tmp_path: Path) -> None:
    text = (SCENARIOS / "xmalloc.toml").read_text()
    found = loaded(tmp_path, text).with_parameters({"sizes": "16+32", "batches": "3"})
    assert found.parameters["sizes"] == (16, 32)
    assert found.parameters["batches"] == 3
    assert found.name == "mine?sizes=16+32&batches=3"


def test_a_list_of_toml_is_written_in_a_name_as_on_a_command_line(tmp_path: Path) -> None:
    base = loaded(tmp_path, (SCENARIOS / "xmalloc.toml").read_text())
    found = base.with_parameters({"sizes": [16, 32]})
    assert found.name == "mine?sizes=16+32"
    assert found == base.with_parameters({"sizes": "16+32"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lives": 3}, "key 'lives' does not exist: did you mean 'live'?"),
        ({"work": 3}, "key 'work' does not exist: did you mean 'work_ns'?"),
        ({"live": "x"}, "live: must be an integer, not 'x'"),
        ({"live": -1}, "live: must be at least 1, not -1"),
    ],
)
def test_a_wrong_parameter_names_the_scenario(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match="scenario mine: ") as raised:
        loaded(tmp_path).with_parameters(changes)
    assert message in str(raised.value)


# ---- The program's own work ------------------------------------------------------


def test_work_between_calls_is_none_unless_the_file_says_so(tmp_path: Path) -> None:
    text = GOOD.replace('touch = "first"', 'touch = "first"\nwork_ns = 25')
    plain, paced = loaded(tmp_path), loaded(tmp_path, text)
    assert (plain.work_ns, paced.work_ns) == (0, 25)
    assert [scenario.generate(found).work_ns for found in (plain, paced)] == [0, 25]


@pytest.mark.parametrize("family", FAMILIES)
def test_work_is_set_like_a_parameter_in_every_family(family: str) -> None:
    assert "work_ns" not in FAMILIES[family].fields()
    base = next(found for path in TRACED if (found := load_traced(path)).family == family)
    found = base.with_parameters({"work_ns": "25"})
    assert found.name == f"{base.name}?work_ns=25"
    assert (found.work_ns, found.parameters) == (25, base.parameters)


def test_the_work_stays_where_a_parameter_is_set_after_it(tmp_path: Path) -> None:
    found = loaded(tmp_path).with_parameters({"work_ns": 75}).with_parameters({"live": "8"})
    assert found.name == "mine?work_ns=75&live=8"
    assert (found.work_ns, found.parameters["live"]) == (75, 8)


@pytest.mark.parametrize("value", ["-1", "1000001", "2.5", "soon", "", True, None])
def test_work_that_is_none_is_refused_with_what_it_may_be(tmp_path: Path, value: object) -> None:
    with pytest.raises(UsageError, match="scenario mine: work_ns: ") as raised:
        loaded(tmp_path).with_parameters({"work_ns": value})
    assert "must be an integer between 0 and 1000000, not " in str(raised.value)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False)])
def test_a_truth_value_may_be_text(text: str, value: bool) -> None:
    found = load_traced(SCENARIOS / "blow-up.toml").with_parameters({"stay": text})
    assert found.parameters["stay"] is value


# ---- Finding them ---------------------------------------------------------------


@pytest.mark.usefixtures("shipped")
def test_a_name_a_glob_and_all_find_scenarios() -> None:
    assert [found.name for found in resolve_traced("larson")] == ["larson"]
    assert [found.name for found in resolve_traced("blow-up*")] == ["blow-up", "blow-up-idle"]
    assert len(scenario.resolve("all")) == len(SHIPPED) == len(scenario.collected())


@pytest.mark.usefixtures("shipped")
def test_the_default_set_is_what_the_files_say() -> None:
    names = {found.name for found in scenario.resolve("default")}
    assert names == {found.name for found in scenario.collected() if found.default}
    assert {"phase-report", "random-churn"} < names


@pytest.mark.usefixtures("shipped")
def test_settings_may_follow_a_name() -> None:
    (found,) = resolve_traced("random-churn?live=10&operations=100")
    assert found.name == "random-churn?live=10&operations=100"
    assert found.parameters["live"] == 10


@pytest.mark.usefixtures("shipped")
def test_a_comma_makes_several_scenarios_in_their_order() -> None:
    found = resolve_traced("random-churn?live=1000,100")
    assert [each.name for each in found] == ["random-churn?live=1000", "random-churn?live=100"]
    assert [each.parameters["live"] for each in found] == [1000, 100]


@pytest.mark.usefixtures("shipped")
def test_several_settings_give_every_combination_for_each_scenario_of_a_glob() -> None:
    found = resolve_traced("blow-up*?threads=2,4&size_min=1,2")
    assert [each.name for each in found] == [
        f"{base}?threads={threads}&size_min={size}"
        for base in ("blow-up", "blow-up-idle")
        for threads in (2, 4)
        for size in (1, 2)
    ]


@pytest.mark.usefixtures("shipped")
def test_a_list_has_plus_signs_and_a_comma_makes_several_of_them() -> None:
    found = resolve_traced("xmalloc?sizes=16+64,32")
    assert [each.parameters["sizes"] for each in found] == [(16, 64), (32,)]
    assert [each.name for each in found] == ["xmalloc?sizes=16+64", "xmalloc?sizes=32"]


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("sizes", ["16+", "+16", "16++64"])
def test_a_list_with_a_hole_is_refused(sizes: str) -> None:
    with pytest.raises(UsageError, match=r"sizes\[\d\]: must be an integer, not ''"):
        resolve_traced(f"xmalloc?sizes={sizes}")


@pytest.mark.usefixtures("shipped")
def test_an_unknown_name_gets_the_nearest_match() -> None:
    with pytest.raises(UsageError, match="scenario 'larsen' does not exist: did you mean 'larson'"):
        scenario.resolve("larsen")


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("spec", ["larson?", "larson?threads", "larson?=3", "larson?threads=2&"])
def test_a_broken_setting_is_refused_or_empty(spec: str) -> None:
    if spec == "larson?":
        assert resolve_traced(spec) == resolve_traced("larson")
        return
    with pytest.raises(UsageError, match=r"has no (key|value).*: it is written NAME\[\?KEY=VALUE"):
        resolve_traced(spec)


def test_a_path_finds_a_scenario_outside_the_collection(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert scenario.resolve(str(path)) == (scenario.load(path),)
    with pytest.raises(UsageError, match="No such file"):
        resolve_traced(str(tmp_path / "other.toml"))


def test_another_package_adds_scenarios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, GOOD, name="theirs")
    monkeypatch.setattr(resources, "folders", lambda _: [SCENARIOS])
    monkeypatch.setattr(resources, "collection_folders", lambda _: [SCENARIOS, tmp_path])
    assert resolve_traced("theirs")[0].name == "theirs"
    assert len(scenario.collected()) == len(SHIPPED) + 1


def test_another_package_may_not_take_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, GOOD, name="larson")
    monkeypatch.setattr(resources, "folders", lambda _: [SCENARIOS])
    monkeypatch.setattr(resources, "collection_folders", lambda _: [SCENARIOS, tmp_path])
    with pytest.raises(UsageError, match="a scenario of this name is in"):
        resolve_traced("larson")


# ---- Generating -----------------------------------------------------------------


def test_the_seed_decides_the_trace(tmp_path: Path) -> None:
    first, second = loaded(tmp_path), loaded(tmp_path, GOOD.replace("seed = 7", "seed = 8"))
    assert scenario.generate(first).digest == scenario.generate(first).digest
    assert scenario.generate(first).digest != scenario.generate(second).digest


DIGESTS = """
import sys
from pathlib import Path
from allocphase import scenario
for path in map(Path, sys.argv[1:]):
    print(path.stem, scenario.generate(scenario.load(path)).digest)
"""


def digests(**variables: str) -> str:
    command = [sys.executable, "-W", "error", "-c", DIGESTS, *map(str, TRACED)]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout


def test_each_scenario_has_one_digest_whatever_the_process_and_the_processor() -> None:
    """numpy's vector code is switched off: what is left is what another processor would run."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    without = " ".join(extensions.get("found", []))
    here = "".join(
        f"{path.stem} {scenario.generate(load_traced(path)).digest}\n" for path in TRACED
    )
    assert digests(PYTHONHASHSEED="1", NPY_DISABLE_CPU_FEATURES=without) == here


def test_every_family_has_a_scenario_and_describes_its_parameters() -> None:
    assert {load_traced(path).family for path in TRACED} == set(FAMILIES)
    for family in FAMILIES.values():
        assert all(entry.metadata["doc"] for entry in family.fields().values())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_texts_of_a_shipped_scenario_are_sentences(path: Path) -> None:
    found = scenario.load(path)
    assert len(found.title) <= 100
    for text in (found.stands_for, found.source, found.does_not_show):
        assert text.strip().endswith((".", ")"))


PROGRAMS = [path for path in SHIPPED if isinstance(scenario.load(path), Program)]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_shipped_program_says_its_share_in_malloc_of_how_many_samples(path: Path) -> None:
    found = scenario.load(path)
    assert isinstance(found, Program)
    said = re.fullmatch(
        r"(\d+\.\d)% of its user time is in jemalloc "
        r"\(perf, \d+\.\d to \d+\.\d in 3 runs, ([\d,]+) samples\)\.",
        found.program.share_in_malloc or "",
    )
    assert said is not None, found.program.share_in_malloc
    assert int(said[2].replace(",", "")) >= 2000
    assert (float(said[1]) < 0.5) == (path.stem == "program-xz"), "the control, and it alone"
