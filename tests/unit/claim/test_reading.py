"""Claims files: what is accepted, and how clearly the rest is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase import allocator, scenario
from allocphase.claim import load, requirements
from allocphase.claim.forms import FORMS
from allocphase.claim.forms.catalogue import COMMON_KEYS
from allocphase.claim.metric import Cell
from allocphase.errors import UsageError
from tests.support.plugins import ROOT, Plugins

HEAD = """
title = "T"
source = "S"
[[claim]]
id = "A"
text = "t"
source = "s"
published = { first_ns = 20.0, second_ns = 10.0, apart_ratio = 2.0 }
"""
CELL = 'allocator = "phase21"\nscenario = "phase-report"\n'
COUNT = f'[claim.check]\nform = "count"\n{CELL}'
RATIO = f'[claim.check]\nform = "ratio"\n{CELL}metric = "time_per_op_ns"\n'
GROWTH = f'[claim.check]\nform = "growth"\n{CELL}metric = "time_per_op_ns"\nparameter = "live"\n'
SHARE = f'[claim.check]\nform = "share"\n{CELL}above = "p99"\nevent = "sleep"\n'
NOTE = f'[claim.check]\nform = "note"\n{CELL}'
SUM = '[claim.check]\nform = "arithmetic"\noperation = "ratio"\n'


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "claims.toml"
    path.write_text(text)
    return str(path)


def test_the_phase_report_s_file_has_all_of_its_claims_and_is_found_by_name() -> None:
    file = load("phase-report")
    ids = [claim.id for claim in file.claims]
    assert ids == [f"C{number}" for number in range(1, 23)]
    assert file == load(str(ROOT / "claims" / "phase-report.toml"))
    assert file.thesis is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1" + HEAD + SUM, "key 'x' does not exist"),
        (
            HEAD.replace('source = "s"', 'sorce = "s"'),
            "claim A: key 'sorce' does not exist: did you mean 'source'?",
        ),
        (HEAD, "claim A: check: missing"),
        (
            HEAD.replace('text = "t"', 'text = " "') + COUNT + 'metric = "verified"\nequals = 1',
            "claim A: text: must be a string that is not empty",
        ),
        (
            HEAD.replace("20.0", "true") + COUNT,
            "claim A: published.first_ns: must be a finite number, not True",
        ),
        (HEAD.replace("20.0", "inf") + COUNT, "first_ns: must be a finite number, not inf"),
        (
            HEAD + '[claim.check]\nform = "cuont"',
            "claim A, check: form 'cuont' does not exist: did you mean 'count'?",
        ),
        (
            HEAD + "[claim.check]\nequals = 1",
            "claim A, check: form: missing: one of absolute, arithmetic",
        ),
        (
            HEAD + COUNT + 'metric = "verified"\nequls = 1',
            "key 'equls' does not exist: did you mean 'equals'?",
        ),
        (HEAD + COUNT + 'metric = "verified"', "equals / at_most / at_least / about: one of them"),
        (HEAD + COUNT + 'metric = "verified"\nequals = 1\nat_most = 2', "only one"),
        (HEAD + COUNT + 'metric = "verified"\nabout = 1', "tolerance / within: goes with about"),
        (
            HEAD + COUNT + 'metric = "verified"\nequals = 1\nwithin = 2',
            "tolerance / within: goes with about",
        ),
        (HEAD + COUNT + 'metric = "verified"\nabout = 1\nwithin = -2', "within: wants"),
        (
            HEAD + COUNT + 'metric = "verified"\nabout = 0\ntolerance = 0.1',
            "tolerance: wants a positive bound",
        ),
        (
            HEAD + COUNT + 'metric = "verified"\nabout = 54\ntolerance = 25',
            "tolerance: must be a share with a % or below 1: 25% or 0.25",
        ),
        (
            HEAD + SUM + 'of = ["first_ns", "second_ns"]\nequals = "apart_ratio"\ntolerance = 5',
            "tolerance: must be a share with a % or below 1: 5% or 0.05",
        ),
        (HEAD + SHARE + "at_least = 90", "at_least: must be a share with a % or below 1: 90% or"),
        (HEAD + SHARE + "about = 0.9\nwithin = 5", "within: must be a share with a %"),
        (
            HEAD + COUNT + 'metric = "verified"\nequals = "frist_ns"',
            "equals: published figure 'frist_ns' does not exist: did you mean 'first_ns'?",
        ),
        (
            HEAD + COUNT + 'metric = "time_per_op_ns"\nequals = 1',
            "metric: time_per_op_ns is a timing",
        ),
        (
            HEAD + COUNT + 'metric = "peak_rss_byte"\nequals = 1',
            "metric 'peak_rss_byte' does not exist: did you mean 'peak_rss_bytes'?",
        ),
        (
            HEAD + COUNT + 'metric = "syscalls.operations"\nequals = 1',
            "'syscalls.operations' does not exist: did you mean 'syscalls.operation'?",
        ),
        (
            HEAD + COUNT + 'metric = "allocator_stats"\nequals = 1',
            "metric 'allocator_stats' does not exist: did you mean 'allocator_stats.<stat>'?",
        ),
        (
            HEAD + COUNT + 'metric = "peak_rss_bytes.x"\nequals = 1',
            "metric 'peak_rss_bytes.x' does not exist: did you mean 'peak_rss_bytes'?",
        ),
        (
            HEAD + COUNT + 'metric = "floor_ns"\nequals = 1',
            "metric: floor_ns is no number that a process gives by itself",
        ),
        (
            HEAD + COUNT.replace("phase21", "phase*") + 'metric = "verified"\nequals = 1',
            "allocator: must name one allocator",
        ),
        (
            HEAD + COUNT.replace("phase21", "a?b=1,2") + 'metric = "verified"\nequals = 1',
            "allocator: must name one allocator",
        ),
        (
            HEAD + COUNT.replace("phase21", "a?b") + 'metric = "verified"\nequals = 1',
            "check: allocator: allocator 'a?b': 'b' has no value",
        ),
        (
            HEAD + COUNT.replace("phase-report", "a?b=1,2") + 'metric = "verified"\nequals = 1',
            "scenario: must name one scenario, not several, as 'a?b=1,2' does",
        ),
        (
            HEAD
            + COUNT
            + 'metric = "verified"\nequals = 1\n[thesis]\nscenario = "x"\nwith_calls = "a?b=1,2"',
            "thesis: with_calls: must name one allocator",
        ),
        (
            HEAD + COUNT + 'metric = "syscalls_per_op"\nequals = 1\nminus = {}',
            "check: minus: says nothing",
        ),
        (
            HEAD + COUNT + 'metric = "syscalls_per_op"\nequals = 1\nminus = { alocator = "x" }',
            "did you mean 'allocator'?",
        ),
        (HEAD + RATIO + "at_most = 1", "check: to: missing"),
        (HEAD + RATIO + 'at_most = 1\nto = { allocator = "phase21" }', "to: names the same figure"),
        (HEAD + RATIO + 'at_most = 1\nto = { metric = "peak_live_bytes" }', "a timing and a count"),
        (
            HEAD + RATIO + 'equals = 1\nto = { allocator = "phase1" }',
            "equals: no two timings are equal",
        ),
        (
            HEAD + GROWTH + "about = 1\nwithin = 0.1\nvalues = [5]",
            "values: must be two or more distinct",
        ),
        (
            HEAD + GROWTH + "about = 1\nwithin = 0.1\nvalues = [5, 5]",
            "values: must be two or more distinct",
        ),
        (
            HEAD + SUM + 'of = ["first_ns"]\nequals = "apart_ratio"\ntolerance = 0',
            "of: ratio takes 2",
        ),
        (
            HEAD + SUM + 'of = ["first_ns", "x"]\nequals = "apart_ratio"\ntolerance = 0',
            "of: published figure 'x' does not exist",
        ),
        (
            HEAD + SUM + 'of = ["first_ns", "second_ns"]\nat_most = 2\nequals = "apart_ratio"',
            "equals / at_most: one of equals with tolerance, at_most, at_least",
        ),
        (
            HEAD + COUNT + 'metric = "verified"\nequals = 1\ntied_to = " "',
            "tied_to: must be a string that is not empty",
        ),
        (
            HEAD + COUNT + 'metric = "verified"\nequals = 1\npart = 5',
            "part: must be a string that is not empty",
        ),
        (
            HEAD + SHARE + 'judge = "lft"\nat_least = 1',
            "judge 'lft' does not exist: did you mean 'lift'?",
        ),
        (
            HEAD + NOTE + 'metric = "peak_rss_bytes"\nat_most = 1',
            "key 'at_most' does not exist",
        ),
        (HEAD + NOTE + 'metric = "time_per_op_ns"', "metric: time_per_op_ns is a timing"),
        (
            HEAD
            + NOTE
            + 'metric = "peak_rss_bytes"\nto = { allocator = "x" }\nminus = { allocator = "x" }',
            "minus / to: a difference or a ratio, not both",
        ),
        (
            HEAD + SUM.replace('"ratio"', '"raito"'),
            "operation 'raito' does not exist: did you mean 'ratio'?",
        ),
        ('title = "T"\nsource = "S"\nclaim = []', "claim: must have 1 or more"),
        ('title = "T"\nsource = "S"\nclaim = [5]', "claim 1: must be a table, not 5"),
        ('title = "T"\nclaim = [{}]', "source: missing"),
        (HEAD + "check = []", "claim A: check: is empty"),
        (
            HEAD.replace("[[claim]]", "[allocators]\nmine = 5\n[[claim]]") + SUM,
            "allocators.mine: must be a string that is not empty, not 5",
        ),
        ("title = ", "not a TOML file"),
    ],
)
def test_a_wrong_file_is_refused_with_the_claim_the_key_and_what_would_do(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load(path)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(path)


def test_of_several_checks_the_wrong_one_is_numbered(tmp_path: Path) -> None:
    good = COUNT.replace("[claim.check]", "[[claim.check]]") + 'metric = "verified"\nequals = 1\n'
    with pytest.raises(UsageError, match="claim A, check 2: equals: must be a number"):
        load(written(tmp_path, HEAD + good + good.replace("= 1\n", "= [1]\n")))


def test_two_claims_of_one_name_are_refused(tmp_path: Path) -> None:
    claim = HEAD[HEAD.index("[[claim]]") :] + COUNT + 'metric = "verified"\nequals = 1\n'
    with pytest.raises(UsageError, match="claim A: id: is given twice"):
        load(written(tmp_path, 'title = "T"\nsource = "S"\n' + claim + claim))


@pytest.mark.parametrize("spec", ["none.toml", "no/such"])
def test_a_path_that_is_not_there_is_said(spec: str) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load(spec)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="did you mean 'phase-report'"):
        load("phase-repot")


@pytest.mark.parametrize("spec", ["phase21", "phase2?objects_per_slab=8"])
def test_a_cell_has_the_name_that_the_run_gives_its_allocator(spec: str) -> None:
    assert Cell(spec, "x").key[0] == allocator.resolve(spec)[0].name


def test_a_cell_of_an_object_of_one_s_own_has_its_name(plugins: Plugins) -> None:
    spec = f"mine={plugins('libc')}?chunk=64"
    assert Cell(spec, "x").key[0] == allocator.resolve(spec)[0].name == "mine?chunk=64"


@pytest.mark.parametrize(
    "spec",
    [
        "random-churn",
        "random-churn?live=300&operations=900",
        str(ROOT / "scenarios" / "random-churn.toml"),
        str(ROOT / "scenarios" / "random-churn.toml") + "?live=300",
    ],
)
def test_a_cell_has_the_name_that_the_run_gives_its_scenario(spec: str) -> None:
    assert Cell("a", spec).key[1] == scenario.resolve(spec)[0].name


def test_arithmetic_needs_no_run(tmp_path: Path) -> None:
    text = HEAD + SUM + 'of = ["first_ns", "second_ns"]\nequals = "apart_ratio"\ntolerance = 0'
    needed = requirements(load(written(tmp_path, text)))
    assert (needed.allocators, needed.scenarios, needed.probes) == ((), (), ())
    assert needed.cells == frozenset()


def test_both_sides_of_a_ratio_are_needed_and_verified(tmp_path: Path) -> None:
    text = HEAD + RATIO + 'at_most = 2\nto = { allocator = "phase1" }'
    needed = requirements(load(written(tmp_path, text)))
    assert needed.allocators == ("phase21", "phase1")
    assert needed.scenarios == ("phase-report",)
    assert needed.probes == ("throughput", "verify")
    assert needed.cells == {
        (name, "phase-report", probe)
        for name in ("phase21", "phase1")
        for probe in ("throughput", "verify")
    }


def test_a_claim_on_instructions_asks_for_their_probe(tmp_path: Path) -> None:
    text = HEAD + RATIO + 'at_most = 2\nto = { allocator = "phase1" }'
    text = text.replace('"time_per_op_ns"', '"instructions_per_op"')
    assert requirements(load(written(tmp_path, text))).probes == ("instructions", "verify")


def test_growth_needs_the_scenario_at_each_value(tmp_path: Path) -> None:
    text = HEAD + GROWTH + "values = [3000, 300]\nabout = 1\nwithin = 0.1"
    text = text.replace('"phase-report"', '"random-churn?operations=900"')
    needed = requirements(load(written(tmp_path, text)))
    assert needed.scenarios == tuple(
        f"random-churn?operations=900&live={live}" for live in (300, 3000)
    )
    names = [scenario.resolve(spec)[0].name for spec in needed.scenarios]
    assert {cell[1] for cell in needed.cells} == set(names)


def test_a_sweep_s_value_takes_the_place_of_the_scenario_s(tmp_path: Path) -> None:
    text = HEAD + GROWTH + "values = [3000, 300]\nabout = 1\nwithin = 0.1"
    text = text.replace('"phase-report"', '"random-churn?live=5"')
    needed = requirements(load(written(tmp_path, text)))
    assert needed.scenarios == ("random-churn?live=300", "random-churn?live=3000")


def test_an_object_of_the_file_is_brought_in_by_its_path(tmp_path: Path) -> None:
    text = HEAD + COUNT.replace("phase21", "mine?chunk=64") + 'metric = "verified"\nequals = 1'
    text = text.replace("[[claim]]", '[allocators]\nmine = "build/libmine.so"\n[[claim]]')
    needed = requirements(load(written(tmp_path, text)))
    assert needed.allocators == ("mine=build/libmine.so?chunk=64",)
    assert {cell[0] for cell in needed.cells} == {"mine?chunk=64"}


def test_the_document_teaches_every_form_and_every_key() -> None:
    text = (ROOT / "docs" / "claims.md").read_text()
    missing = [
        name
        for form, (keys, _) in FORMS.items()
        for name in (form, *COMMON_KEYS, *keys)
        if f"`{name}`" not in text and f"`{name} = " not in text
    ]
    assert missing == []


def test_an_id_that_no_line_of_an_error_holds_is_refused(tmp_path: Path) -> None:
    claim = COUNT + 'metric = "verified"\nequals = 1\n'
    long = HEAD.replace('id = "A"', f'id = "{"x" * 5000}"')
    assert long != HEAD
    with pytest.raises(UsageError, match="id: must be at most 100 characters") as caught:
        load(written(tmp_path, long + claim))
    assert len(str(caught.value)) < 500
