"""Judging: claims against runs written by hand, whose every figure is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allocphase.claim import (
    Verdict,
    exit_code,
    judge,
    load,
    read_section,
    write_section,
)
from allocphase.errors import DataError
from allocphase.probe.arrays import Arrays
from tests.support.claims import Writer, check, count, judged, only, ratio

# ---- Arithmetic ------------------------------------------------------------------------------


def test_the_phase_report_contradicts_itself_in_four_claims_and_nowhere_else() -> None:
    section = judge(load("phase-report"), None)
    own = {claim.id: claim.own_figures for claim in section.claims if claim.own_figures}
    wrong = dict.fromkeys(("C3", "C5", "C18", "C19"), Verdict.INCONSISTENT)
    right = dict.fromkeys(("C1", "C2", "C4", "C17", "C21"), Verdict.CONSISTENT)
    assert own == wrong | right
    assert {claim.id for claim in section.claims if claim.verdict == "inconsistent"} == set(wrong)


def test_the_95_percent_of_the_phase_report_are_a_gain_and_no_reduction() -> None:
    claims = {claim.id: claim for claim in judge(load("phase-report"), None).claims}
    figures = [
        (claims[name].checks[0].measured, claims[name].checks[0].expected) for name in ("C5", "C17")
    ]
    assert figures == [("48.9%", "95%"), ("95.7%", "95%")]


@pytest.mark.parametrize(
    ("operation", "of", "value"),
    [
        ("ratio", ["a_ns", "b_ns"], 5.0),
        ("reduction", ["b_ns", "a_ns"], 0.8),
        ("gain", ["a_ns", "b_ns"], 4.0),
        ("product", ["a_ns", "b_ns"], 2000.0),
        ("rate", ["a_ns"], 1e7),
    ],
)
def test_published_figures_are_held_against_each_other_within_the_tolerance(
    run: Writer, operation: str, of: list[str], value: float
) -> None:
    table = f'[[claim.check]]\nform = "arithmetic"\noperation = "{operation}"\nof = {of}\n'
    table += 'equals = "claimed"\ntolerance = 0.1\n'
    for factor, verdict in ((0.92, "consistent"), (1.1, "consistent"), (1.3, "inconsistent")):
        published = f"a_ns = 100.0, b_ns = 20.0, claimed = {value * factor}"
        finding = only(judged(run, table, published=published)).checks[0]
        assert finding.value == pytest.approx(value)
        assert finding.verdict == verdict


@pytest.mark.parametrize(
    ("bound", "verdict", "expected"),
    [
        ("at_most = 5.1", "consistent", "at most 5.10x"),
        ("at_most = 1.25", "inconsistent", "at most 1.25x"),
        ('at_least = "least_ratio"', "consistent", "at least 4.00x"),
        ("at_least = 5.1", "inconsistent", "at least 5.10x"),
    ],
)
def test_published_figures_are_held_against_what_a_word_can_mean(
    run: Writer, bound: str, verdict: str, expected: str
) -> None:
    table = '[[claim.check]]\nform = "arithmetic"\noperation = "ratio"\nof = ["a_ns", "b_ns"]\n'
    published = "a_ns = 100.0, b_ns = 20.0, least_ratio = 4.0"
    finding = only(judged(run, f"{table}{bound}\n", published=published)).checks[0]
    assert (finding.verdict, finding.measured, finding.expected) == (verdict, "5.00x", expected)


@pytest.mark.parametrize(
    ("operation", "figures", "bound"),
    [
        ("ratio", (0.3, 0.1), 'equals = "bound"\ntolerance = 0'),
        ("ratio", (0.3, 0.1), "at_least = 3.0"),
        ("reduction", (90.0, 100.0), 'equals = "bound"\ntolerance = 0'),
        ("gain", (110.0, 100.0), "at_most = 0.1"),
    ],
)
def test_published_figures_that_differ_in_the_last_bit_agree(
    run: Writer, operation: str, figures: tuple[float, float], bound: str
) -> None:
    table = f'[[claim.check]]\nform = "arithmetic"\noperation = "{operation}"\n'
    table += f'of = ["a_ns", "b_ns"]\n{bound}\n'
    for off, verdict in ((0.0, "consistent"), (0.001, "inconsistent")):
        sign = 1 if "at_most" in bound else -1
        a = figures[0] * (1.0 + sign * off)
        claimed = 3.0 if operation == "ratio" else 0.1
        published = f"a_ns = {a}, b_ns = {figures[1]}, bound = {claimed}"
        assert only(judged(run, table, published=published)).checks[0].verdict == verdict


# ---- Timings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [
        ("at_most = 2.5", "reproduced"),
        ("at_least = 1.5", "reproduced"),
        ("about = 2.1\ntolerance = 0.2", "reproduced"),
        ("about = 2.1\nwithin = 0.3", "reproduced"),
        ("at_most = 1.5", "contradicted"),
        ("at_least = 2.5", "contradicted"),
        ("about = 3.0\ntolerance = 0.1", "contradicted"),
        ("at_most = 2.0", "inconclusive"),
        ("about = 2.1\ntolerance = 0.01", "inconclusive"),
        ("about = 2.4\ntolerance = 0.3", "reproduced"),
    ],
)
def test_only_the_whole_interval_of_a_ratio_decides(run: Writer, bound: str, verdict: str) -> None:
    run.times("quick", [10.0] * 5)
    run.times("slow", [19.0, 19.5, 20.0, 21.0, 22.0])
    finding = only(judged(run, ratio(bound))).checks[0]
    assert (finding.value, finding.lower, finding.upper) == pytest.approx((2.0, 1.9, 2.2))
    assert finding.verdict == verdict


def test_drift_that_a_round_shares_cancels(run: Writer) -> None:
    drift = [1.0, 2.0, 5.0, 30.0, 100.0]
    run.times("quick", [10.0 * x for x in drift])
    run.times("slow", [20.0 * x for x in drift])
    assert only(judged(run, ratio("about = 2\nwithin = 0.001"))).verdict == "reproduced"


def test_fewer_than_five_rounds_conclude_nothing(run: Writer) -> None:
    run.times("quick", [10.0] * 4)
    run.times("slow", [20.0] * 4)
    finding = only(judged(run, ratio("at_most = 100"))).checks[0]
    assert finding.verdict == "inconclusive"
    assert "too few rounds" in finding.measured


def test_a_published_figure_is_a_bound_by_its_name(run: Writer) -> None:
    run.times("quick", [10.0] * 5)
    run.times("slow", [20.0] * 5)
    section = judged(run, ratio('at_most = "slower_ratio"'), published="slower_ratio = 1.5")
    assert only(section).verdict == "contradicted"


def test_an_absolute_time_is_shown_and_not_judged(run: Writer) -> None:
    run.times("quick", [10.0, 11.0, 12.0, 13.0, 14.0])
    table = check("absolute", "quick", 'metric = "time_per_op_ns"', 'published = "time_ns"')
    claim = only(judged(run, table, published="time_ns = 323.0"))
    assert claim.verdict == "not comparable"
    assert claim.checks[0].value == 12.0
    assert "12.0 ns" in claim.checks[0].measured
    assert "Abacus" in claim.checks[0].measured
    assert "323 ns" in claim.checks[0].expected


@pytest.mark.parametrize(("exponent", "verdict"), [(1.0, "reproduced"), (0.0, "contradicted")])
def test_the_exponent_of_a_power_law_is_found(
    tmp_path: Path, exponent: float, verdict: str
) -> None:
    values = (100, 1000, 10_000)
    run = Writer(tmp_path / "run", scenarios=[f"flow?n={n}" for n in values])
    for n in values:
        run.times("slow", [3.0 * n**exponent] * 5, scenario=f"flow?n={n}")
    sweep = ('metric = "time_per_op_ns"', 'parameter = "n"', "values = [10000, 100, 1000]")
    table = check("growth", "slow", *sweep, "about = 1.0\nwithin = 0.15")
    finding = only(judged(run, table)).checks[0]
    assert finding.value == pytest.approx(exponent, abs=1e-9)
    assert finding.verdict == verdict


# ---- What is not there -----------------------------------------------------------------------


def test_a_cell_that_failed_has_no_figures_and_says_why(run: Writer) -> None:
    run.times("quick", [10.0] * 5)
    run.times("slow", [20.0] * 5)
    run.add("slow", "verify", {}, status="corrupt")
    claim = only(judged(run, ratio("at_most = 100")))
    assert claim.verdict == "not measured"
    assert "slow on flow: verify: corrupt: by hand" in claim.checks[0].measured


@pytest.mark.parametrize("missing", ["slow", "quick"])
def test_a_cell_that_is_not_in_the_run_is_named(run: Writer, missing: str) -> None:
    run.times("quick" if missing == "slow" else "slow", [10.0] * 5)
    claim = only(judged(run, ratio("at_most = 100")))
    assert claim.verdict == "not measured"
    assert f"no throughput probe of {missing} on flow" in claim.checks[0].measured


# ---- Claims of several checks ------------------------------------------------------------------

WRONG_SUM = """[[claim.check]]
form = "arithmetic"
operation = "ratio"
of = ["a_ns", "b_ns"]
equals = "claimed"
tolerance = 0.1
"""
TWO_TO_ONE = "a_ns = 2.0, b_ns = 1.0"


@pytest.mark.parametrize(
    ("checks", "claimed", "verdict", "code"),
    [
        (["equals = 3"], 2, "reproduced", 0),
        (["equals = 3", "equals = 4"], 2, "contradicted", 3),
        (["equals = 3"], 9, "inconsistent", 0),
        (["equals = 4"], 9, "inconsistent", 3),
        ([], 2, "consistent", 0),
        ([], 9, "inconsistent", 0),
    ],
)
def test_a_claim_holds_when_all_its_checks_do_and_only_a_measurement_fails_ci(
    run: Writer, checks: list[str], claimed: float, verdict: str, code: int
) -> None:
    run.calls("quick", {"mmap": 3})
    tables = [count("syscalls.operation", relation) for relation in checks]
    published = f"{TWO_TO_ONE}, claimed = {claimed}"
    section = judged(run, "".join(tables) + WRONG_SUM, published=published)
    assert only(section).verdict == verdict
    assert exit_code(section, measured_now=True) == code


@pytest.mark.parametrize(
    ("allocators", "measured_now", "code"),
    [
        (["slow"], False, 5),
        (["slow", "quick"], False, 0),
        (["slow", "quick"], True, 5),
        (["quick"], True, 0),
    ],
)
def test_what_was_not_measured_fails_the_command_that_should_have_measured_it(
    run: Writer, allocators: list[str], measured_now: bool, code: int
) -> None:
    run.calls("quick", {})
    tables = "".join(count("syscalls.operation", "equals = 0", name) for name in allocators)
    assert exit_code(judged(run, tables), measured_now=measured_now) == code


@pytest.mark.parametrize("measured_now", [True, False])
def test_what_these_rounds_do_not_tell_fails_unless_it_is_waived(
    run: Writer, measured_now: bool
) -> None:
    """No promise is kept by fewer rounds: 0.001 of a time that is twice the other's."""
    run.times("quick", [10.0] * 4)
    run.times("slow", [20.0] * 4)
    section = judged(run, ratio("at_most = 0.001"))
    assert exit_code(section, measured_now=measured_now) == 4
    assert exit_code(section, measured_now=measured_now, fail_inconclusive=False) == 0


@pytest.mark.parametrize(
    ("others", "code"),
    [
        ([("quick", "equals = 1")], 3),
        ([("quick", "equals = 0")], 4),
        ([("absent", "equals = 0")], 5),
        ([("absent", "equals = 0"), ("quick", "equals = 1")], 3),
    ],
)
def test_of_several_failures_the_gate_s_order_decides(
    run: Writer, others: list[tuple[str, str]], code: int
) -> None:
    run.times("quick", [10.0])
    run.times("slow", [20.0])
    run.calls("quick", {})
    tables = "".join(count("syscalls.operation", relation, name) for name, relation in others)
    section = judged(run, ratio("at_most = 1") + tables)
    assert exit_code(section, measured_now=True) == code


# ---- What need not travel ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relation", "rounds", "verdict", "code"),
    [
        ("about = 54\ntolerance = 0.25", 5, "differs here", 0),
        ("about = 2\ntolerance = 0.25", 5, "reproduced", 0),
        ("about = 54\ntolerance = 0.25", 4, "inconclusive", 0),
    ],
)
def test_a_ratio_that_need_not_travel_differs_here_and_contradicts_nothing(
    run: Writer, relation: str, rounds: int, verdict: str, code: int
) -> None:
    run.times("quick", [10.0] * rounds)
    run.times("slow", [20.0] * rounds)
    section = judged(run, ratio(f'{relation}\ntied_to = "the kernel\'s mmap()"'))
    (finding,) = only(section).checks
    assert (finding.verdict, exit_code(section, measured_now=True)) == (verdict, code)
    assert finding.remarks[0] == "need not travel: tied to the kernel's mmap()"


def test_a_count_can_be_tied_too(run: Writer) -> None:
    run.calls("quick", {"mmap": 3})
    table = count("syscalls.operation", 'equals = 4\ntied_to = "the page size"')
    assert only(judged(run, table)).verdict == "differs here"


# ---- Parts and notes ---------------------------------------------------------------------------

ABSOLUTE = check("absolute", "quick", 'metric = "time_per_op_ns"', 'published = "time_ns"')


@pytest.mark.parametrize(
    ("relation", "verdict"),
    [("equals = 3", "reproduced in part"), ("equals = 4", "contradicted")],
)
def test_a_claim_of_which_a_part_cannot_be_compared_is_reproduced_in_part(
    run: Writer, relation: str, verdict: str
) -> None:
    run.times("quick", [10.0] * 5)
    run.calls("quick", {"mmap": 3})
    table = count("syscalls.operation", f'{relation}\npart = "three calls"') + ABSOLUTE
    claim = only(judged(run, table, published="time_ns = 323.0"))
    assert claim.verdict == verdict
    assert [finding.part for finding in claim.checks] == ["three calls", ""]


@pytest.mark.parametrize(
    ("lines", "measured"),
    [
        ((), "3"),
        (('minus = { metric = "syscalls.operation.munmap" }',), "3 - 5 = -2"),
        (('to = { metric = "syscalls.operation.munmap" }',), "0.6x"),
        (
            ('minus = { allocator = "slow" }',),
            "not measured: the run has no syscalls probe of slow",
        ),
    ],
)
def test_a_note_shows_a_figure_and_decides_nothing(
    run: Writer, lines: tuple[str, ...], measured: str
) -> None:
    run.calls("quick", {"mmap": 3, "munmap": 5})
    note = check("note", "quick", 'metric = "syscalls.operation.mmap"', *lines)
    section = judged(run, count("syscalls.operation", "equals = 8") + note)
    assert only(section).verdict == "reproduced"
    assert only(section).checks[1].verdict == "noted"
    assert only(section).checks[1].measured.startswith(measured)
    assert exit_code(section, measured_now=True) == 0


def test_a_doubt_names_the_scenario_where_a_check_has_several(tmp_path: Path) -> None:
    run = Writer(tmp_path / "run", scenarios=["flow", "flow?n=10"])
    for scenario in run.scenarios:
        run.times("slow", [10.0] * 5, scenario=scenario, switches=500)
    run.times("quick", [10.0] * 5, switches=500)
    other = 'to = { scenario = "flow?n=10" }'
    lines = ('metric = "time_per_op_ns"', other, "at_most = 2")
    (finding,) = only(judged(run, check("ratio", "slow", *lines))).checks
    assert [note.partition(":")[0] for note in finding.notes] == [
        "slow on flow",
        "slow on flow?n=10",
    ]
    (finding,) = only(judged(run, ratio("at_most = 2"))).checks
    assert [note.partition(":")[0] for note in finding.notes] == ["slow", "quick"]


# ---- Names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["flow?n=1&share=1", "flow?n=1&share=1.0", "flow?n=01&share=1"])
def test_a_number_may_be_written_otherwise_than_the_run_writes_it(
    tmp_path: Path, written: str
) -> None:
    run = Writer(tmp_path / "run", scenarios=["flow?n=10&share=1.0", "flow?n=1&share=1.0"])
    run.calls("quick", {"mmap": 3}, scenario="flow?n=1&share=1.0")
    table = count("syscalls.operation", "equals = 3").replace('"flow"', f'"{written}"')
    assert only(judged(run, table)).verdict == "reproduced"


# ---- The thesis --------------------------------------------------------------------------------

THESIS = """
[thesis]
scenario = "flow"
with_calls = "slow"
without_calls = "quick"
without_search = "slow"
spike_ratio = 3.0
metric = "time_per_op_ns"
parameter = "n"
values = [10, 100]
"""


def thesis(tmp_path: Path, *, spike_ns: int, exponent: float, rounds: int = 5) -> tuple[str, ...]:
    """`quick` has a latency of 10 ns and one call in ten of `spike_ns`; `slow` adds 1 µs."""
    run = Writer(tmp_path / "run", scenarios=["flow", "flow?n=10", "flow?n=100"])
    for n in (10, 100):
        run.times("quick", [3.0 * n**exponent] * rounds, scenario=f"flow?n={n}")
    run.times("quick", [40.0] * rounds)
    run.times("slow", [20.0] * rounds)
    many = np.tile([10] * 9 + [spike_ns], 200)
    many[-1] += 1  # the one that is slower than the p99
    _long_trace(run, "quick", many, rounds=rounds)
    _long_trace(run, "slow", many + 1000, rounds=rounds)
    section = judged(run, count("syscalls.operation", "equals = 0"), after=THESIS)
    return section.thesis


def _long_trace(run: Writer, allocator: str, calls_ns: Any, *, rounds: int) -> None:
    """Two thousand mallocs, so that there is a p99.9; the kinds are rewritten to match."""
    count_ops = len(calls_ns)
    arrays: Arrays = {
        "kind": np.zeros(count_ops, np.uint8),
        "size": np.zeros(count_ops, np.uint32),
        "thread": np.zeros(count_ops, np.uint16),
        "op": np.arange(count_ops, dtype=np.uint32),
        **dict.fromkeys(("thread_build", "thread_drain"), np.zeros(1, np.int64)),
    }
    run.writer.write_operations(0, arrays)
    run.latencies(allocator, list(calls_ns), rounds=rounds)
    run.calls(allocator, {})


def test_the_thesis_says_that_spikes_stay(tmp_path: Path) -> None:
    spikes, search = thesis(tmp_path, spike_ns=90, exponent=1.0)
    assert "cut the p99.9 of malloc" in spikes
    assert "the spikes are not gone: p99.9 is 9.89x (8.80x to 11.2x) the median" in spikes
    assert "time per allocation grows" in search
    assert "exponent 1.00" in search
    assert "2.00x (2.00x to 2.00x) that of slow, which has no such search." in search


def test_the_thesis_says_that_spikes_are_gone(tmp_path: Path) -> None:
    spikes, search = thesis(tmp_path, spike_ns=20, exponent=0.0)
    assert "the spikes are gone: p99.9 is 2.11x (1.80x to 2.50x) the median" in spikes
    assert "does not measurably grow" in search


def test_the_thesis_claims_no_more_than_the_rounds_show(tmp_path: Path) -> None:
    spikes, search = thesis(tmp_path, spike_ns=90, exponent=1.0, rounds=3)
    assert "did not measurably change" in spikes
    assert "whether spikes remain, these rounds do not tell" in spikes
    assert "does not measurably grow" in search
    assert "do not tell it from equal" in search


def test_the_thesis_of_a_run_without_its_cells_says_so(run: Writer) -> None:
    run.calls("quick", {})
    section = judged(run, count("syscalls.operation", "equals = 0"), after=THESIS)
    assert [sentence.split(" was not measured")[0] for sentence in section.thesis] == [
        "Whether removing the system calls removes the spikes",
        "What the linear search costs",
    ]


# ---- claims.json -------------------------------------------------------------------------------


def test_what_was_judged_is_read_again_from_the_run_directory(run: Writer) -> None:
    run.times("quick", [10.0] * 5)
    run.times("slow", [20.0] * 5)
    section = judged(run, ratio("at_most = 1") + count("syscalls.operation", "equals = 0"))
    write_section(section, run.folder)
    assert read_section(run.folder) == section
    assert [path.name for path in run.folder.glob("claims.json*")] == ["claims.json"]


def test_a_run_that_was_never_judged_has_no_section(run: Writer) -> None:
    assert read_section(run.folder) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2}', '{"schema": 1}'])
def test_a_foreign_claims_json_is_refused(run: Writer, text: str) -> None:
    (run.folder / "claims.json").write_text(text)
    with pytest.raises(DataError, match=r"claims\.json"):
        read_section(run.folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checks": []}, "checks: must have 1 or more"),
        ({"checks": [{}]}, "checks[0].form: missing"),
        ({"text": None}, "text: must be a string, not None"),
    ],
)
def test_a_claim_that_is_not_as_it_must_be_is_numbered(
    run: Writer, change: dict[str, object], message: str
) -> None:
    run.times("slow", [20.0] * 5)
    section = judged(run, count("syscalls.operation", "equals = 0"))
    path = write_section(section, run.folder)
    document = json.loads(path.read_text("utf-8"))
    document["claims"][0].update(change)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_section(run.folder)
    assert str(caught.value) == f"{path}: claims[0].{message}"
