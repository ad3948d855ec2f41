"""Saved baselines: what is kept, what is refused, and gating against them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allocphase.allocator import Allocator
from allocphase.analysis.comparable import ScenarioChangedError
from allocphase.errors import AllocphaseError, DataError, NothingMeasuredError, UsageError
from allocphase.gate import Arms, run_gate
from allocphase.gate import saved as saved_module
from allocphase.gate.baseline import Baseline, list_baselines, load_baseline, save_baseline
from allocphase.gate.baseline_text import describe
from allocphase.gate.saved import (
    COUNTING_PROBES,
    USUAL_PROBES,
    against_saved,
    measure_baseline,
)
from allocphase.judge import ArmEntry, GateVerdict, Outcome
from allocphase.judge.render.explain import explain
from allocphase.machine.fingerprint import fingerprint
from allocphase.probe.probe import Probe
from allocphase.process.driver import Job
from tests.support.gates import FigureExecutor, arm, gate_request, no_progress, small_scenario
from tests.support.runs import request_of

ROUNDS = 20


def calls(_: Job) -> Mapping[str, int]:
    return {"mmap": 3}


def save(
    tmp_path: Path,
    executor: FigureExecutor,
    *,
    rounds: int = ROUNDS,
    probes: Sequence[Probe] = USUAL_PROBES,
) -> Baseline:
    path = tmp_path / "old.so"
    path.write_bytes(b"old")
    request = request_of(
        tmp_path / "runs", allocators=(), probes=(), scenarios=[small_scenario()], rounds=rounds
    )
    found = measure_baseline(
        request, executor, name="main", arm=arm("old", path), progress=no_progress, probes=probes
    )
    save_baseline(found, tmp_path / "saved")
    return found


def against(
    tmp_path: Path, executor: FigureExecutor, *lines: str, allow: bool = False, **changes: Any
) -> GateVerdict:
    request = gate_request(tmp_path, *lines, **changes)
    request = replace(request, arms=Arms(None, request.arms.candidate))
    request = against_saved(request, "main", tmp_path / "saved", allow_mismatch=allow)
    return run_gate(request, executor, progress=no_progress)


def elsewhere(monkeypatch: pytest.MonkeyPatch, **facts: object) -> None:
    """From here on this is another machine, by these facts."""
    here = fingerprint()
    monkeypatch.setattr(saved_module, "fingerprint", lambda *_, **__: {**here, **facts})


def test_a_baseline_keeps_a_figure_of_each_process_and_its_fingerprint(tmp_path: Path) -> None:
    found = save(tmp_path, FigureExecutor(calls=calls))
    again = load_baseline("main", tmp_path / "saved")
    assert again == found
    (entry,) = again.scenarios.values()
    assert entry.values["time"] == (10.0,) * ROUNDS
    assert entry.values["syscalls"] == (3.0,) * 8
    assert entry.values["syscalls.mmap"] == (3.0,) * 8
    assert set(again.fingerprint) >= {"cpu", "kernel", "libc", "transparent_huge_pages", "driver"}
    assert again.allocator.sha256 is not None


def test_a_count_that_varies_is_saved_of_as_many_processes_as_there_are_rounds(
    tmp_path: Path,
) -> None:
    found = save(tmp_path, FigureExecutor(calls=lambda job: {"mmap": job.round}), rounds=1)
    (entry,) = found.scenarios.values()
    assert entry.values["syscalls.mmap"] == tuple(float(n) for n in range(8) for _ in range(4))
    assert entry.values["p90"] == (30.0,) * 8


def test_a_baseline_of_counts_has_no_times_and_gates_the_instructions(tmp_path: Path) -> None:
    executor = FigureExecutor(calls=calls)
    found = save(tmp_path, executor, probes=COUNTING_PROBES)
    assert not any(job.probe.timed for job in executor.jobs)
    (entry,) = found.scenarios.values()
    assert "time" not in entry.values
    assert set(entry.values["instructions"]) == set(entry.values["instructions.malloc"]) == {9.0}
    lines = ("time=off", "instructions=exact")
    assert against(tmp_path, FigureExecutor(calls=calls), *lines).exit_code == 0
    more = FigureExecutor(calls=calls, instructions=lambda _: 901)
    verdict = against(tmp_path, more, *lines)
    assert verdict.exit_code == 3
    worse = [row.row.id for row in verdict.rows if row.outcome is Outcome.REGRESSED]
    assert worse == [f"instructions:{small_scenario().name}"]


def test_one_kind_of_call_is_gated_by_its_instructions_where_a_limit_names_it(
    tmp_path: Path,
) -> None:
    save(tmp_path, FigureExecutor(calls=calls), probes=COUNTING_PROBES)
    lines = ("time=off", "instructions.malloc=exact")
    more = FigureExecutor(calls=calls, instructions=lambda _: 901)
    verdict = against(tmp_path, more, *lines)
    worse = [row.row.id for row in verdict.rows if row.outcome is Outcome.REGRESSED]
    assert worse == [f"instructions.malloc:{small_scenario().name}"]


def test_what_a_baseline_of_counts_lacks_is_said_and_the_rest_is_judged(tmp_path: Path) -> None:
    save(tmp_path, FigureExecutor(calls=calls), probes=COUNTING_PROBES)
    executor = FigureExecutor(calls=calls)
    verdict = against(tmp_path, executor)
    assert verdict.exit_code == 0
    assert Probe.THROUGHPUT not in {job.probe for job in executor.jobs}
    (note,) = [note for note in verdict.notes if note.startswith("time is not gated: ")]
    assert note.endswith(f"the saved baseline has none of {small_scenario().name}")


def test_a_gate_of_nothing_but_what_the_baseline_lacks_is_refused(tmp_path: Path) -> None:
    save(tmp_path, FigureExecutor(calls=calls), probes=COUNTING_PROBES)
    with pytest.raises(NothingMeasuredError, match=r"nothing is left.*time is not gated"):
        against(tmp_path, FigureExecutor(calls=calls), "*=off", "time=3%")


@pytest.mark.parametrize("fact", ["valgrind", "valgrind_cpu", "libc_sha256"])
def test_instructions_do_not_hold_under_another_valgrind_cpu_or_libc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fact: str
) -> None:
    save(tmp_path, FigureExecutor(calls=calls), probes=COUNTING_PROBES)
    elsewhere(monkeypatch, **{fact: "another"})
    verdict = against(tmp_path, FigureExecutor(calls=calls), "time=off", "instructions=exact")
    assert verdict.exit_code == 5
    (line,) = verdict.machine_mismatch
    assert line.startswith(f"{fact}: ")
    assert "instructions do" in line or "instructions does" in line
    assert "instructions" not in {row.row.measure.name for row in verdict.rows}


def test_instructions_hold_on_another_cpu_that_valgrind_shows_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, FigureExecutor(calls=calls), probes=COUNTING_PROBES)
    elsewhere(monkeypatch, cpu="another", chip="another", microcode="another")
    verdict = against(tmp_path, FigureExecutor(calls=calls), "time=off", "instructions=exact")
    assert verdict.exit_code == 0
    assert verdict.machine_mismatch == ()


def test_a_baseline_with_variables_of_a_shell_holds_where_they_are_kept_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    save(tmp_path, FigureExecutor())
    kept = {"MALLOC_ARENA_MAX": "1"}
    verdict = against(tmp_path, FigureExecutor(), kept_variables=kept)
    (line,) = verdict.machine_mismatch
    assert line.startswith("tuning: none then, MALLOC_ARENA_MAX: 1 now: ")
    assert against(tmp_path, FigureExecutor()).machine_mismatch == ()


def test_a_cell_that_fails_is_not_saved(tmp_path: Path) -> None:
    executor = FigureExecutor(status=lambda _: ("crashed", "killed by SIGSEGV"))
    with pytest.raises(NothingMeasuredError, match=r"old on .*killed by SIGSEGV"):
        save(tmp_path, executor)
    assert not (tmp_path / "saved").exists()


def test_the_same_allocator_passes_against_its_saved_self(tmp_path: Path) -> None:
    save(tmp_path, FigureExecutor(calls=calls))
    found = against(tmp_path, FigureExecutor(calls=calls))
    assert found.exit_code == 0
    assert any("it has no twin" in note for note in found.notes)


def test_counts_and_times_that_got_worse_fail_against_a_saved_baseline(tmp_path: Path) -> None:
    save(tmp_path, FigureExecutor(calls=calls))
    worse = FigureExecutor(calls=lambda _: {"mmap": 4}, time_ns=lambda _: 11.0)
    found = against(tmp_path, worse, "time=5%")
    regressed = {r.row.measure.name for r in found.rows if r.outcome is Outcome.REGRESSED}
    assert regressed == {"time", "syscalls", "syscalls.mmap"}
    assert found.exit_code == 3


def test_a_time_counts_against_a_saved_baseline_only_by_a_limit_of_the_user_s(
    tmp_path: Path,
) -> None:
    """Both sessions divide by the same stored values: a drift since then is in both."""
    save(tmp_path, FigureExecutor(calls=calls))
    drifted = FigureExecutor(calls=calls, time_ns=lambda _: 11.0)
    found = against(tmp_path, drifted)
    assert found.exit_code == 0
    assert len(found.sessions) == 1  # which a second one would not make surer
    (row,) = [row for row in found.rows if row.row.measure.name == "time"]
    assert (row.outcome, row.advisory) == (Outcome.REGRESSED, True)
    assert any("times against a saved baseline are advice" in note for note in found.notes)
    assert "a time counts only by a limit that you give" in explain(found, row.row.id)
    named = against(tmp_path, drifted, "time=2%")
    assert (named.exit_code, len(named.sessions)) == (3, 2)
    assert not any("advice" in note for note in named.notes)
    assert against(tmp_path, drifted, "time=15%").exit_code == 0


def test_only_the_candidate_is_measured_against_a_saved_baseline(tmp_path: Path) -> None:
    save(tmp_path, FigureExecutor())
    executor = FigureExecutor()
    against(tmp_path, executor)
    assert {job.allocator.name for job in executor.jobs if job.allocator.correct} == {"candidate"}


def test_on_another_machine_times_are_not_compared_and_the_gate_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, FigureExecutor(calls=calls))
    elsewhere(monkeypatch, governor="powersave")
    executor = FigureExecutor(calls=calls)
    found = against(tmp_path, executor)
    assert (found.exit_code, found.word) == (5, "another machine")
    assert not any(job.probe is Probe.THROUGHPUT for job in executor.jobs)
    (line,) = found.machine_mismatch
    before = fingerprint()["governor"] or "not known"
    assert line == f"governor: {before} then, powersave now: time does not hold here"


def test_counts_hold_where_a_fact_differs_that_moves_times_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, FigureExecutor(calls=calls))
    elsewhere(monkeypatch, governor="powersave")
    assert against(tmp_path, FigureExecutor(calls=calls), "time=off").exit_code == 0
    worse = FigureExecutor(calls=lambda _: {"mmap": 4})
    assert against(tmp_path, worse, "time=off").exit_code == 3
    assert against(tmp_path, worse).exit_code == 3


ON_CALLS = {"time", "syscalls", "peak_mapped", "page_faults", "peak_rss"}


@pytest.mark.parametrize(
    ("fact", "value", "out"),
    [
        ("cpus", 128, ON_CALLS),
        ("libc_sha256", "0" * 64, ON_CALLS),
        ("driver", "0" * 64, ON_CALLS),
        ("huge_page_sizes", {"64kB": "always"}, ON_CALLS - {"syscalls"}),
        ("microcode", "another one", {"time"}),
    ],
)
def test_rows_that_do_not_hold_are_left_out_and_named_with_the_fact(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fact: str,
    value: object,
    out: set[str],
) -> None:
    """Whatever the candidate does there: one more call on other CPUs is no regression."""
    save(tmp_path, FigureExecutor(calls=calls))
    elsewhere(monkeypatch, **{fact: value})
    more = "syscalls" in out
    found = against(tmp_path, FigureExecutor(calls=lambda _: {"mmap": 3 + more}))
    assert (found.exit_code, found.word) == (5, "another machine")
    kept = {row.row.measure.name for row in found.rows}
    assert not kept & out
    assert kept >= (ON_CALLS | {"peak_live"}) - out
    (line,) = found.machine_mismatch
    told = re.fullmatch(rf"{fact}: .* then, .* now: (.*) do(es)? not hold here", line)
    assert told
    assert set(told[1].split(", ")) == out
    allowed = against(tmp_path, FigureExecutor(calls=lambda _: {"mmap": 4}), allow=True)
    assert allowed.exit_code == (0 if more else 3)
    assert {row.row.measure.name for row in allowed.rows if row.advisory} >= out
    assert allowed.machine_mismatch == found.machine_mismatch


def test_what_holds_is_judged_beside_what_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, FigureExecutor(calls=calls))
    elsewhere(monkeypatch, huge_page_shmem="always")
    worse = FigureExecutor(calls=lambda _: {"mmap": 4})
    found = against(tmp_path, worse)
    assert found.exit_code == 3
    regressed = {row.row.measure.name for row in found.rows if row.fails}
    assert regressed == {"syscalls", "syscalls.mmap"}
    assert found.machine_mismatch


def test_where_nothing_holds_nothing_is_measured_and_the_fact_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, FigureExecutor(calls=calls))
    elsewhere(monkeypatch, cpus=128)
    executor = FigureExecutor(calls=calls)
    with pytest.raises(NothingMeasuredError, match="128 now: syscalls does not hold here"):
        against(tmp_path, executor, "*=off", "syscalls=exact")
    assert executor.jobs == []


def test_a_mismatch_that_is_allowed_makes_times_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, FigureExecutor(calls=calls))
    elsewhere(monkeypatch, kernel="6.99")
    slower = FigureExecutor(calls=calls, time_ns=lambda _: 20.0)
    found = against(tmp_path, slower, "time=2%", allow=True)
    (row,) = [row for row in found.rows if row.row.measure.name == "time"]
    assert (row.outcome, row.advisory) == (Outcome.REGRESSED, True)
    assert found.exit_code == 0
    assert "saved on another machine" in explain(found, row.row.id)


def test_a_scenario_that_changed_since_is_refused_with_its_own_code(tmp_path: Path) -> None:
    found = save(tmp_path, FigureExecutor())
    (name,) = found.scenarios
    entry = replace(found.scenarios[name], digest="0" * 64)
    save_baseline(replace(found, scenarios={name: entry}), tmp_path / "saved")
    with pytest.raises(ScenarioChangedError, match="changed since") as caught:
        against(tmp_path, FigureExecutor())
    assert caught.value.exit_code == 4


def test_a_baseline_of_other_work_between_calls_is_refused_and_it_is_named(tmp_path: Path) -> None:
    save(tmp_path, FigureExecutor())
    spec = small_scenario().name
    paced = replace(small_scenario(f"{spec}&work_ns=25"), name=spec)  # as if its file had it now
    with pytest.raises(ScenarioChangedError, match="work_ns is 25 now, and was 0") as caught:
        against(tmp_path, FigureExecutor(), scenarios=[paced])
    assert caught.value.exit_code == 4


def test_a_baseline_is_of_a_scenario_at_its_work(tmp_path: Path) -> None:
    save(tmp_path, FigureExecutor())
    paced = small_scenario(f"{small_scenario().name}&work_ns=25")
    with pytest.raises(NothingMeasuredError, match=r"has no figures of .*work_ns=25"):
        against(tmp_path, FigureExecutor(), scenarios=[paced])


def test_a_scenario_that_was_never_saved_is_missing(tmp_path: Path) -> None:
    save(tmp_path, FigureExecutor())
    other = small_scenario("phase-report?allocations=60")
    with pytest.raises(NothingMeasuredError, match="has no figures of phase-report"):
        against(tmp_path, FigureExecutor(), scenarios=[other])


def test_a_gate_has_no_more_rounds_than_its_baseline_has_processes(tmp_path: Path) -> None:
    save(tmp_path, FigureExecutor(), rounds=12)
    executor = FigureExecutor(time_ns=lambda job: 10.2 if job.round % 2 else 10.3)
    found = against(tmp_path, executor, "*=off", "time=2%")
    assert found.sessions[0].rounds == 12


def test_a_baseline_that_does_not_exist_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NothingMeasuredError, match="baseline save"):
        load_baseline("main", tmp_path)
    save(tmp_path, FigureExecutor())
    with pytest.raises(NothingMeasuredError, match="did you mean 'main'"):
        load_baseline("mian", tmp_path / "saved")


@pytest.mark.parametrize("name", ["../main", "a/b", "", ".hidden", "a b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        load_baseline(name, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"schema": 9}',
        '{"schema": 2, "name": "x"}',
        json.dumps(
            {
                "schema": 2,
                "name": "x",
                "saved": "",
                "allocator": {},
                "fingerprint": {},
                "scenarios": {"s": {"digest": "0", "values": {"time": ["fast"]}}},
            }
        ),
    ],
)
def test_a_broken_baseline_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_baseline("x", tmp_path)
    assert str(path) in str(caught.value)


def test_a_baseline_of_before_is_refused_by_its_schema(tmp_path: Path) -> None:
    """Its digests and facts are others: nothing of it can be held against this machine."""
    path = save_baseline(save(tmp_path, FigureExecutor()), tmp_path)
    path.write_text(path.read_text("utf-8").replace('"schema": 2', '"schema": 1'), "utf-8")
    with pytest.raises(DataError, match=r"schema: this version reads schema 2.*save it again"):
        load_baseline("main", tmp_path)


def test_a_metric_that_does_not_exist_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = save_baseline(save(tmp_path, FigureExecutor()), tmp_path)
    path.write_text(path.read_text("utf-8").replace('"time"', '"tine"'), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_baseline("main", tmp_path)
    where = f"{path}: scenarios.phase-report?allocations=50.values"
    assert str(caught.value) == f"{where}: metric 'tine' does not exist: did you mean 'time'?"


def test_baselines_are_listed_by_name_and_shown_with_their_figures(tmp_path: Path) -> None:
    found = save(tmp_path, FigureExecutor(calls=calls))
    save_baseline(replace(found, name="another"), tmp_path / "saved")
    assert [one.name for one in list_baselines(tmp_path / "saved")] == ["another", "main"]
    text = describe(found)
    assert "main: old, saved" in text
    assert f"10.0 ns  median of {ROUNDS} processes" in text
    assert "kernel" in text


def test_libc_can_be_saved_too(tmp_path: Path) -> None:
    def description(allocator: Allocator) -> ArmEntry:
        request = request_of(
            tmp_path / "runs", allocators=(), probes=(), scenarios=[small_scenario()], rounds=2
        )
        executor = FigureExecutor()
        found = measure_baseline(
            request, executor, name="main", arm=allocator, progress=no_progress
        )
        return found.allocator

    assert description(arm("libc")).sha256 is None


def test_a_baseline_that_cannot_be_written_leaves_nothing_beside_its_place(tmp_path: Path) -> None:
    found = save(tmp_path, FigureExecutor(calls=calls))
    folder = tmp_path / "elsewhere"
    (folder / "main.json" / "in the way").mkdir(parents=True)
    with pytest.raises(AllocphaseError, match=r"main\.json"):
        save_baseline(found, folder)
    assert [path.name for path in folder.iterdir()] == ["main.json"]
