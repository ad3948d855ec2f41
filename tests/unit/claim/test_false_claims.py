"""Each form on data in which the claim is false: whatever is said then, it is not "reproduced".

And on data in which it is true, so that no case passes because its form can show nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from allocphase.claim import Judged, exit_code
from allocphase.claim.forms import FORMS
from tests.support.claims import Writer, check, count, judged, only, ratio

Data = Callable[[Writer], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A claim, data in which it is true and in which it is false, and what is said of each.

    published: the source's figures, which are the data of arithmetic. code: of the false one.
    """

    table: str
    true: Data
    false: Data
    shown: str = "reproduced"
    refuted: str = "contradicted"
    code: int = 3
    published: tuple[str, str] = ("", "")


def times(slow_ns: float) -> Data:
    def write(run: Writer) -> None:
        run.times("quick", [10.0] * 5)
        run.times("slow", [slow_ns] * 5)

    return write


def calls(number: int, *, at: tuple[int, ...] = ()) -> Data:
    """Call 9 of ten mallocs is the slow one; `at`: those that made a system call."""

    def write(run: Writer) -> None:
        run.latencies("quick", [100] * 9 + [700] + [1000] * 10)
        run.calls("quick", {"mmap": number}, at=at)

    return write


def spike(ns: int) -> Data:
    return lambda run: run.latencies("quick", [100] * 9 + [ns] + [1000] * 10)


def grown(exponent: float) -> Data:
    def write(run: Writer) -> None:
        for n in (10, 100):
            run.times("quick", [3.0 * n**exponent] * 5, scenario=f"flow?n={n}")

    return write


def nothing(run: Writer) -> None:
    """What is compared was published."""


SUM = """[[claim.check]]
form = "arithmetic"
operation = "gain"
of = ["a_ns", "b_ns"]
equals = "claimed_gain"
tolerance = 0.05
"""
SWEEP = ('metric = "time_per_op_ns"', 'parameter = "n"', "values = [10, 100]")
TAIL = ('upper = "max"', 'lower = "p50"', "at_most = 3")
LIFT = ('above = "p90"', 'event = "system call"', 'judge = "lift"', "at_least = 2")
ABSOLUTE = ('metric = "time_per_op_ns"', 'published = "time_ns"')

CASES = {
    "arithmetic": Case(
        table=SUM,
        true=nothing,
        false=nothing,
        shown="consistent",
        refuted="inconsistent",
        code=0,
        published=(
            "a_ns = 6457.0, b_ns = 3300.0, claimed_gain = 0.95",
            "a_ns = 6457.0, b_ns = 3300.0, claimed_gain = 0.49",
        ),
    ),
    "ratio": Case(table=ratio("at_most = 1.5"), true=times(12.0), false=times(20.0)),
    "quantile_ratio": Case(
        table=check("quantile_ratio", "quick", *TAIL), true=spike(250), false=spike(700)
    ),
    "count": Case(table=count("syscalls.operation", "equals = 0"), true=calls(0), false=calls(1)),
    "share": Case(
        table=check("share", "quick", *LIFT),
        true=calls(2, at=(0, 9)),
        false=calls(2, at=(0, 1)),
    ),
    "growth": Case(
        table=check("growth", "quick", *SWEEP, "about = 0\nwithin = 0.1"),
        true=grown(0.0),
        false=grown(1.0),
    ),
    # These two never say that a claim holds, whatever was measured.
    "absolute": Case(
        table=check("absolute", "quick", *ABSOLUTE),
        true=times(10.0),
        false=times(20.0),
        shown="not comparable",
        refuted="not comparable",
        code=0,
        published=("time_ns = 10.0", "time_ns = 999.0"),
    ),
    "note": Case(
        table=check("note", "quick", 'metric = "syscalls.operation"'),
        true=calls(0),
        false=calls(1),
        shown="noted",
        refuted="noted",
        code=0,
    ),
}


def claim_of(folder: Path, case: Case, *, true: bool) -> tuple[Judged, int]:
    run = Writer(folder / "run", scenarios=["flow", "flow?n=10", "flow?n=100"])
    (case.true if true else case.false)(run)
    section = judged(run, case.table, published=case.published[not true])
    return only(section), exit_code(section, measured_now=True)


def test_every_form_has_a_claim_that_is_false() -> None:
    assert set(CASES) == set(FORMS)
    assert all(f'form = "{form}"' in case.table for form, case in CASES.items())


@pytest.mark.parametrize("form", CASES)
def test_a_claim_that_is_false_is_not_reproduced(tmp_path: Path, form: str) -> None:
    case = CASES[form]
    claim, code = claim_of(tmp_path, case, true=False)
    assert (claim.verdict, code) == (case.refuted, case.code)
    assert claim.verdict not in ("reproduced", "reproduced in part", "consistent")


@pytest.mark.parametrize("form", CASES)
def test_the_same_claim_where_it_is_true_is_told(tmp_path: Path, form: str) -> None:
    case = CASES[form]
    claim, code = claim_of(tmp_path, case, true=True)
    assert (claim.verdict, code) == (case.shown, 0)
