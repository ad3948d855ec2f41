"""The gate's verdict and a comparison, as every reader sees them, against files looked at."""

from __future__ import annotations

import functools
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from allocphase.analysis.frames import Run
from allocphase.analysis.metric_names import measure
from allocphase.compare import CompareSettings, compare_runs
from allocphase.compare.console import print_comparison
from allocphase.compare.export import csv_text
from allocphase.compare.export import document as comparison_document
from allocphase.compare.export import markdown as comparison_markdown
from allocphase.errors import AllocphaseError
from allocphase.judge import (
    ArmEntry,
    Failure,
    GateVerdict,
    Judged,
    Outcome,
    Row,
    Rule,
    SessionEntry,
    SessionResult,
    Settings,
    final_rows,
)
from allocphase.judge.document import document
from allocphase.judge.render.console import print_verdict
from allocphase.judge.render.explain import explain
from allocphase.judge.render.github import report_to_github, workflow_commands
from allocphase.judge.render.junit import junit
from allocphase.judge.render.markdown import markdown
from allocphase.stats import Interval
from allocphase.text.console import WIDTH
from tests.support.screens import shown_at

Golden = Callable[[str, str], None]

HOSTILE = "<script>|`x`,: @all"
TIME_RULE = Rule(0.02, exact=False, named=True)
COUNT_RULE = Rule(0.05, exact=True, named=False)


def timed(outcome: Outcome, ratio: float, *, rounds: int = 12) -> Judged:
    return Judged(
        outcome=outcome,
        decided=True,
        base=10.0,
        candidate=10.0 * ratio,
        ratio=Interval(ratio, ratio * 0.99, ratio * 1.012, 0.95),
        twin=Interval(1.001, 0.994, 1.006, 0.95),
        floor_spread=0.004,
        rounds=rounds,
        theta=0.02,
        exact=False,
        min_detectable_ratio=1.031,
        decided_theta=0.0611 if outcome is Outcome.INCONCLUSIVE else math.nan,
        open_chance=0.11,
        saved_ns=Interval(10.0 - 10.0 * ratio, 9.88 - 10.0 * ratio, 10.1 - 10.0 * ratio, 0.95),
    )


def counted(outcome: Outcome, base: float, candidate: float, *, varies: bool = False) -> Judged:
    ratio = candidate / base if base else math.inf
    return Judged(
        outcome=outcome,
        decided=True,
        base=base,
        candidate=candidate,
        ratio=Interval(ratio, 0.98 * ratio, 1.02 * ratio, 0.95)
        if varies
        else Interval(ratio, -math.inf, math.inf, math.nan),
        twin=None,
        floor_spread=math.nan,
        rounds=8,
        theta=0.05 if varies else 0.0,
        exact=not varies,
        min_detectable_ratio=1.062 if varies else math.nan,
        decided_theta=math.nan,
        open_chance=0.0,
        values=((base, base + varies), (candidate,)) if base >= 0 else ((), ()),
    )


def rows_of(scenario: str) -> list[tuple[Row, Judged]]:
    def row(name: str, rule: Rule) -> Row:
        return Row(measure(name), scenario, rule)

    return [
        (row("time", TIME_RULE), timed(Outcome.REGRESSED, 1.05)),
        (row("build_time", TIME_RULE), timed(Outcome.REGRESSED, 1.03)),
        (row("p50", TIME_RULE), timed(Outcome.IMPROVED, 0.9)),
        (row("p90", TIME_RULE), timed(Outcome.NOT_WORSE, 0.98)),
        (row("p99", TIME_RULE), timed(Outcome.UNDECIDED, 1.02, rounds=40)),
        (row("p99_9", TIME_RULE), timed(Outcome.INCONCLUSIVE, 1.08, rounds=40)),
        (row("syscalls", COUNT_RULE), counted(Outcome.REGRESSED, 0.0, 3.0)),
        (row("syscalls.mmap", COUNT_RULE), counted(Outcome.REGRESSED, 2.0, 3.0)),
        (row("page_faults", COUNT_RULE), counted(Outcome.UNCHANGED, 75.0, 76.0, varies=True)),
        (row("peak_live", COUNT_RULE), counted(Outcome.UNCHANGED, 4096.0, 4096.0)),
        (
            row("peak_rss", Rule(0.05, exact=False, named=False)),
            counted(Outcome.NOT_MEASURED, math.nan, math.nan),
        ),
    ]


def arm(name: str, digit: str) -> ArmEntry:
    config = {"chunk": "64"}
    return ArmEntry(name=name, kind="plugin", path="a.so", sha256=digit * 64, config=config)


@pytest.fixture(scope="module")
def verdict() -> GateVerdict:
    first = rows_of("keep") + rows_of(HOSTILE)[:2]
    again = [
        (row, timed(Outcome.UNCHANGED, 1.004) if row.measure.name == "build_time" else judged)
        for row, judged in first
        if judged.outcome is Outcome.REGRESSED
    ]
    crash = Failure(
        arm="candidate",
        scenario=HOSTILE,
        probe="verify",
        status="crashed",
        message="killed by SIGSEGV. 100%\x00\x1b[31m\nfree(): <invalid> & ]]>",
    )
    return GateVerdict(
        baseline=arm("old <b>", "0"),
        candidate=arm("new", "1"),
        environment={"cpu": "Golden CPU"},
        settings=Settings(
            theta=0.02,
            memory_theta=0.05,
            limits=(),
            max_rounds=40,
            time_budget_s=600.0,
            seed=7,
            scenarios=("keep", HOSTILE),
        ),
        fail_inconclusive=True,
        sessions=(
            SessionEntry(path="out/x-gate", rounds=40, planned=40, repeated=2, seconds=20.5),
        ),
        notes=("libc cannot be copied: its twin is libc itself",),
        machine_mismatch=(),
        failures=(crash,),
        rows=final_rows(SessionResult(tuple(first), 40), SessionResult(tuple(again), 12)),
    )


def test_the_verdict_on_the_terminal_is_as_before(verdict: GateVerdict, golden: Golden) -> None:
    stream = io.StringIO()
    print_verdict(verdict, stream)
    golden("gate.txt", stream.getvalue())
    assert max(len(line) for line in stream.getvalue().splitlines()) <= WIDTH


@pytest.mark.parametrize("columns", [60, 140])
def test_a_verdict_is_as_wide_as_its_terminal(
    verdict: GateVerdict, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown_at(columns, functools.partial(print_verdict, verdict), monkeypatch)
    assert max(map(len, lines)) in range(columns - 20, columns + 1)
    heads = ("baseline", "candidate", "change", "95% interval", "sees")
    table = lines[: lines.index(HOSTILE)]
    assert all(any(head in line for line in table) for head in heads)
    assert any(all(head in line for head in heads) for line in table) == (columns == 140)
    assert sum("not confirmed" in line for line in table) == 1


def test_equal_counts_are_printed_when_everything_is_asked_for(verdict: GateVerdict) -> None:
    brief, full = io.StringIO(), io.StringIO()
    print_verdict(verdict, brief)
    print_verdict(verdict, full, everything=True)
    assert "peak_live" not in brief.getvalue()
    assert "peak_live" in full.getvalue()


def test_the_verdict_in_markdown_is_as_before(verdict: GateVerdict, golden: Golden) -> None:
    golden("gate.md", markdown(verdict))


def test_no_name_from_outside_becomes_markdown(verdict: GateVerdict) -> None:
    text = markdown(verdict)
    assert "<script>" not in text
    assert "<b>" not in text
    assert " @all" not in text


def test_the_verdict_as_junit_is_as_before(verdict: GateVerdict, golden: Golden) -> None:
    golden("gate.xml", junit(verdict))


def test_the_junit_file_is_xml_that_counts_its_own_cases(verdict: GateVerdict) -> None:
    root = ET.fromstring(junit(verdict))
    for suite in root:
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.get(name, "")) == len(suite.findall(f"testcase/{tag}"))
    hostile = root.findall("testsuite")[1]
    assert hostile.get("name") == HOSTILE
    failed = hostile.findall("testcase/failure")[-1]
    assert "free(): <invalid> & ]]>" in failed.get("message", "")


def test_the_annotations_are_as_before(verdict: GateVerdict, golden: Golden) -> None:
    commands = workflow_commands(verdict)
    golden("gate.github", "\n".join(commands) + "\n")
    assert len(commands) <= 10
    assert all("\n" not in command for command in commands)


def test_nothing_that_is_said_can_end_a_workflow_command(verdict: GateVerdict) -> None:
    hostile = replace(verdict, rows=(), failures=(), machine_mismatch=("a%0A\r\n::error::b",))
    assert workflow_commands(hostile) == ["::warning title=another machine::a%250A%0D%0A::error::b"]


def test_github_is_told_only_where_the_environment_names_it(
    verdict: GateVerdict, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    assert report_to_github(verdict, {}) == []
    assert report_to_github(verdict, {"GITHUB_ACTIONS": "true"}) == workflow_commands(verdict)
    summary.write_text("before\n", encoding="utf-8")
    assert report_to_github(verdict, {"GITHUB_STEP_SUMMARY": str(summary)}) == []
    assert summary.read_text(encoding="utf-8") == "before\n" + markdown(verdict)


def test_a_step_summary_that_cannot_be_written_is_one_error_that_names_it(
    verdict: GateVerdict, tmp_path: Path
) -> None:
    with pytest.raises(AllocphaseError, match=f"^{tmp_path}: Is a directory"):
        report_to_github(verdict, {"GITHUB_STEP_SUMMARY": str(tmp_path)})


def test_the_verdict_as_json_is_as_before(verdict: GateVerdict, golden: Golden) -> None:
    text = json.dumps(document(verdict), indent=1, ensure_ascii=False, allow_nan=False)
    golden("gate.json", text + "\n")


def test_the_explanations_are_as_before(verdict: GateVerdict, golden: Golden) -> None:
    golden("gate-explain.txt", "\n".join(explain(verdict, r.row.id) for r in verdict.rows) + "\n")


def test_a_row_is_explained_by_either_name_of_its_metric(verdict: GateVerdict) -> None:
    for row in (gated.row for gated in verdict.rows):
        by_path = explain(verdict, f"{row.measure.path}:{row.scenario}")
        assert by_path == explain(verdict, row.id)


# ---- compare: the golden run against its own libc ------------------------------------------


def test_a_comparison_on_the_terminal_is_as_before(run: Run, golden: Golden) -> None:
    stream = io.StringIO()
    print_comparison(compare_runs([run.path], CompareSettings()), stream)
    golden("compare.txt", stream.getvalue())
    assert max(len(line) for line in stream.getvalue().splitlines()) <= WIDTH


def test_a_comparison_in_markdown_is_as_before(run: Run, golden: Golden) -> None:
    golden("compare.md", comparison_markdown(compare_runs([run.path], CompareSettings())))


def test_a_comparison_as_csv_is_as_before(run: Run, golden: Golden) -> None:
    golden("compare.csv", csv_text(compare_runs([run.path], CompareSettings())))


def test_a_comparison_as_json_has_the_same_rows_as_the_csv(run: Run) -> None:
    found = compare_runs([run.path], CompareSettings())
    text = json.dumps(comparison_document(found), allow_nan=False)
    assert len(json.loads(text)["rows"]) == len(csv_text(found).splitlines()) - 1


@pytest.mark.parametrize("columns", [60, 140])
def test_a_comparison_is_as_wide_as_its_terminal(
    run: Run, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compare_runs([run.path], CompareSettings())
    lines = shown_at(columns, functools.partial(print_comparison, found), monkeypatch)
    assert max(map(len, lines)) in range(columns - 20, columns + 1)
    heads = "metric +verdict +baseline +candidate +change +95% interval +sees"
    assert bool(re.search(heads, "\n".join(lines))) == (columns == 140)
    assert sum(line.startswith("page_faults ") for line in lines) >= 8
