"""Sessions of a gate, with an executor that makes figures up: order, copies, budgets, verdicts."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count, groupby
from pathlib import Path
from typing import Any

import pytest

from allocphase.analysis import frames
from allocphase.analysis.measures import MEASURES
from allocphase.analysis.metric_names import measure
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.errors import AllocphaseError, NothingMeasuredError, UsageError
from allocphase.gate import Arms, baseline_arm, candidate_arm, run_gate
from allocphase.gate.planned import planned_in
from allocphase.judge import GateVerdict, Outcome, read_limits
from allocphase.judge.document import read_verdict
from allocphase.judge.render.explain import explain
from allocphase.machine.disturbance import Disturbance
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.process import driver
from allocphase.process.driver import Executor, Job
from allocphase.process.turns import PASS_NS, PASSES
from allocphase.report.content.source import Source
from allocphase.report.text.markdown import markdown
from allocphase.scenario import resolve
from tests.support.gates import (
    MEMORY,
    FigureExecutor,
    arm,
    gate_request,
    no_progress,
    small_scenario,
)
from tests.support.plugins import ROOT
from tests.support.scenarios import trace_of

TIME_ONLY = ("*=off", "time=2%")
CALLS_ONLY = ("*=off", "syscalls=exact")
LONG = small_scenario("phase-report?allocations=600")  # 60 calls beyond p90


def times(candidate: float, *, spread: float = 0.003, twin: float = 1.0) -> Callable[[Job], float]:
    """About 10 ns, times the arm's ratio; noise from a fixed seed."""
    rng = random.Random(3)
    ratios = {"candidate": candidate, "twin": twin}
    return lambda job: 10.0 * ratios.get(job.allocator.name, 1.0) * rng.lognormvariate(0, spread)


def test_a_time_that_its_instructions_do_not_tell_is_explained_with_what_moved_beside(
    tmp_path: Path,
) -> None:
    executor = FigureExecutor(
        time_ns=times(1.1),
        memory=lambda job: {**MEMORY, "page_faults": 9 if job.allocator.name == "candidate" else 5},
    )
    lines = ("*=off", "time=2%", "page_faults=exact", "instructions=exact")
    verdict = gate(tmp_path, *lines, executor=executor)
    for metric in ("time", "instructions"):
        text = explain(verdict, f"{metric}:{small_scenario().name}")
        assert "and 1.000x of its instructions: they tell less than half of that" in text
        assert "What else is more: page faults in operation, 5 to 9" in text
    assert "instructions" not in explain(verdict, f"page_faults:{small_scenario().name}")


def gate(tmp_path: Path, *lines: str, executor: Executor, **changes: Any) -> GateVerdict:
    clock = count(0.0, 0.0) if "clock" not in changes else changes.pop("clock")
    request = gate_request(tmp_path, *lines, **changes)
    return run_gate(request, executor, progress=no_progress, clock=lambda: float(next(clock)))


def outcomes(verdict: GateVerdict) -> dict[str, Outcome]:
    return {row.row.measure.name: row.outcome for row in verdict.rows}


def in_session(executor: FigureExecutor, probe: Probe = Probe.THROUGHPUT) -> list[list[Job]]:
    """The jobs of a probe, session by session: their traces lie in different folders."""
    jobs = [job for job in executor.jobs if job.probe is probe and job.allocator.correct]
    return [list(group) for _, group in groupby(jobs, key=lambda job: trace_of(job).parent)]


def test_identical_arms_pass_long_before_the_budget_of_rounds(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=times(1.0))
    found = gate(tmp_path, executor=executor)
    assert found.exit_code == 0
    assert set(outcomes(found).values()) == {Outcome.UNCHANGED}
    assert found.sessions[0].rounds < 20
    assert len(found.sessions) == 1


def test_every_round_has_each_arm_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=times(1.02))
    gate(tmp_path, *TIME_ONLY, executor=executor)
    (jobs,) = in_session(executor)
    rounds = [[j.allocator.name for j in group] for _, group in groupby(jobs, lambda j: j.round)]
    assert all(sorted(names) == ["baseline", "candidate", "twin"] for names in rounds)
    assert len({tuple(names) for names in rounds}) > 3


def test_counts_are_measured_in_four_processes_when_they_are_equal(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=times(1.02), calls=lambda _: {"mmap": 3})
    gate(tmp_path, executor=executor)
    for probe, processes in ((Probe.SYSCALLS, 4), (Probe.MEMORY, 4), (Probe.VERIFY, 1)):
        found = Counter(job.allocator.name for job in in_session(executor, probe)[0])
        assert found == dict.fromkeys(("baseline", "twin", "candidate"), processes)


def test_who_looks_for_an_improvement_goes_on_until_it_is_one(tmp_path: Path) -> None:
    """A usual gate stops where the candidate has passed."""
    usual, seeking = (
        gate(
            tmp_path / name,
            *TIME_ONLY,
            executor=FigureExecutor(time_ns=times(0.95, spread=0.02)),
            until_improved=until_improved,
        )
        for name, until_improved in (("usual", False), ("seeking", True))
    )
    assert outcomes(usual) == {"time": Outcome.NOT_WORSE}
    assert outcomes(seeking) == {"time": Outcome.IMPROVED}
    assert usual.sessions[0].rounds < seeking.sessions[0].rounds < 40


def test_a_slower_candidate_is_confirmed_in_a_session_of_its_own(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=times(1.05))
    found = gate(tmp_path, executor=executor)
    assert found.exit_code == 3
    assert outcomes(found)["time"] is Outcome.REGRESSED
    assert len(found.sessions) == 2
    assert len(in_session(executor)) == 2
    assert len(in_session(executor, Probe.MEMORY)) == 1, "only what was flagged is measured again"


def test_a_slowdown_that_does_not_come_again_does_not_fail(tmp_path: Path) -> None:
    noise = times(1.0)

    def once(job: Job) -> float:
        first = "confirm" not in str(trace_of(job))
        return noise(job) * (1.2 if first and job.allocator.name == "candidate" else 1.0)

    found = gate(tmp_path, *TIME_ONLY, executor=FigureExecutor(time_ns=once))
    assert outcomes(found) == {"time": Outcome.UNCONFIRMED}
    assert found.exit_code == 0


def test_one_more_system_call_fails_by_count_within_two_rounds(tmp_path: Path) -> None:
    executor = FigureExecutor(
        calls=lambda job: {"mmap": 2 if job.allocator.name == "candidate" else 1}
    )
    found = gate(tmp_path, *CALLS_ONLY, executor=executor)
    assert found.exit_code == 3
    assert outcomes(found) == {"syscalls": Outcome.REGRESSED, "syscalls.mmap": Outcome.REGRESSED}
    assert [session.rounds for session in found.sessions] == [2, 2]


def test_counts_that_vary_among_copies_do_not_fail_identical_arms(tmp_path: Path) -> None:
    for seed in range(15):
        rng = random.Random(seed)
        executor = FigureExecutor(
            calls=lambda _, rng=rng: {"futex": rng.randrange(5)},  # type: ignore[misc]
            memory=lambda _, rng=rng: {**MEMORY, "page_faults": rng.randrange(90, 110)},  # type: ignore[misc]
        )
        found = gate(tmp_path, "time=off", executor=executor)
        assert found.exit_code == 0, outcomes(found)


def test_more_resident_memory_than_its_limit_fails(tmp_path: Path) -> None:
    def memory(job: Job) -> dict[str, int]:
        return {**MEMORY, "peak_rss_bytes": 4400 if job.allocator.name == "candidate" else 4096}

    found = gate(tmp_path, "time=off", executor=FigureExecutor(memory=memory))
    assert outcomes(found)["peak_rss"] is Outcome.REGRESSED
    wider = gate(tmp_path, "time=off", "peak_rss=10%", executor=FigureExecutor(memory=memory))
    assert wider.exit_code == 0


@dataclass(frozen=True, slots=True)
class Disturbed:
    """An executor on a machine where others use six tenths of a CPU while anything is timed."""

    inner: FigureExecutor

    def run(self, job: Job) -> driver.Outcome:
        outcome = self.inner.run(job)
        seen = Disturbance(span_s=1.0, others_s=0.6)
        return replace(outcome, result=replace(outcome.result, disturbance=seen))


def test_a_verdict_says_what_disturbed_its_sessions(tmp_path: Path) -> None:
    quiet = gate(tmp_path / "quiet", *TIME_ONLY, executor=FigureExecutor())
    assert quiet.notes == ()
    found = gate(tmp_path / "loud", *TIME_ONLY, executor=Disturbed(FigureExecutor()))
    (note,) = found.notes
    assert note.startswith(Path(found.sessions[0].path).name)
    assert "other processes used up to 60% of a CPU" in note


@dataclass(slots=True)
class SometimesDisturbed:
    """Others use six tenths of a CPU in every tenth timed process, and it takes twice as long."""

    inner: FigureExecutor
    seen: int = 0

    def run(self, job: Job) -> driver.Outcome:
        outcome = self.inner.run(job)
        self.seen += job.probe is Probe.THROUGHPUT
        if job.probe is not Probe.THROUGHPUT or self.seen % 10:
            return outcome
        part = outcome.result.part(Throughput)
        slow = replace(part, warm_ns_per_op=tuple(2 * x for x in part.warm_ns_per_op))
        seen = Disturbance(span_s=1.0, others_s=0.6)
        return replace(outcome, result=replace(outcome.result, throughput=slow, disturbance=seen))


def test_a_process_that_the_machine_disturbed_runs_once_more(tmp_path: Path) -> None:
    executor = SometimesDisturbed(FigureExecutor(time_ns=times(1.0)))
    found = gate(tmp_path, *TIME_ONLY, executor=executor)
    (session,) = found.sessions
    records = frames.load(session.path).records
    assert session.repeated >= 3
    assert session.repeated % 3 == 0, "those that took turns with it run again, too"
    timed = [r for r in records if r.allocator != "null" and r.probe is Probe.THROUGHPUT]
    assert len(timed) == 3 * session.rounds + session.repeated
    assert outcomes(found) == {"time": Outcome.UNCHANGED}


def test_where_everything_is_disturbed_nothing_is_repeated(tmp_path: Path) -> None:
    found = gate(tmp_path, *TIME_ONLY, executor=Disturbed(FigureExecutor()))
    assert found.sessions[0].repeated == 0


def test_the_arms_that_are_timed_take_turns_and_nothing_else_does(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=times(1.0))
    gate(tmp_path, "p99=10%", executor=executor)
    in_turns = {
        (job.allocator.name, job.probe.value): job.turn is not None for job in executor.jobs
    }
    arms = {"baseline", "twin", "candidate"}
    assert {name for (name, probe), turn in in_turns.items() if probe == "throughput" and turn} == (
        arms
    )
    assert not in_turns["null", "throughput"]
    assert not any(turn for (_, probe), turn in in_turns.items() if probe != "throughput")
    for job in executor.jobs:
        if job.turn is not None:
            assert (job.options["passes"], job.options["pass-ns"]) == (str(PASSES), str(PASS_NS))


@pytest.mark.parametrize("status", ["timeout", "out-of-memory"])
def test_what_a_busy_machine_may_do_once_is_asked_again(tmp_path: Path, status: str) -> None:
    said: list[Job] = []

    def once(job: Job) -> tuple[str, str] | None:
        if job.allocator.name == "candidate" and job.probe is Probe.MEMORY and not said:
            said.append(job)
            return status, "said once"
        return None

    found = gate(tmp_path, executor=FigureExecutor(status=once))
    assert (found.exit_code, found.failures) == (0, ())
    assert found.sessions[0].repeated == 1


@pytest.mark.parametrize("status", ["timeout", "out-of-memory"])
def test_what_comes_again_is_the_candidates(tmp_path: Path, status: str) -> None:
    executor = FigureExecutor(
        status=lambda job: (status, "again") if job.allocator.name == "candidate" else None
    )
    found = gate(tmp_path, executor=executor)
    assert found.exit_code == 3
    assert found.sessions[0].repeated == 1, "the first of the cell alone: others may take as long"


def test_a_candidate_that_always_makes_a_call_more_in_three_processes_of_four_fails(
    tmp_path: Path,
) -> None:
    made: Counter[str] = Counter()

    def calls(job: Job) -> dict[str, int]:
        made[job.allocator.name] += 1
        extra = job.allocator.name == "candidate" and made["candidate"] % 4
        return {"mmap": 3 if extra else 2}

    found = gate(tmp_path, *CALLS_ONLY, executor=FigureExecutor(calls=calls))
    assert found.exit_code == 3
    assert outcomes(found)["syscalls.mmap"] is Outcome.REGRESSED


def test_noise_that_hides_twice_the_limit_is_inconclusive(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=times(1.02, spread=0.3))
    found = gate(tmp_path, *TIME_ONLY, executor=executor)
    assert (found.exit_code, found.word) == (4, "inconclusive")
    assert found.openness.blind
    assert found.rows[0].first.decided_theta > 0.1


def test_one_noisy_row_of_many_is_told_and_fails_nothing(tmp_path: Path) -> None:
    names = [f"phase-report?allocations={n}" for n in (50, 60, 70, 80)]
    noise, loud = times(1.0), times(1.0, spread=0.4)

    def time_ns(job: Job) -> float:
        return loud(job) if job.scenario == names[0] else noise(job)

    scenarios = [small_scenario(name) for name in names]
    executor = FigureExecutor(time_ns=time_ns)
    found = gate(tmp_path, *TIME_ONLY, executor=executor, scenarios=scenarios)
    open_ = [row.row.scenario for row in found.rows if row.outcome is Outcome.INCONCLUSIVE]
    assert open_ == names[:1]
    assert (found.exit_code, found.openness.too_many) == (0, False)
    asked = gate(
        tmp_path, *TIME_ONLY, f"time=2%:{names[0]}", executor=executor, scenarios=scenarios
    )
    assert asked.exit_code == 4


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        ("candidate", "crashed", 3),
        ("candidate", "corrupt", 3),
        ("candidate", "wrong-allocator", 5),
        ("baseline", "crashed", 5),
    ],
)
def test_a_cell_that_fails_ends_its_scenario_and_the_gate(
    tmp_path: Path, who: str, status: str, code: int
) -> None:
    executor = FigureExecutor(
        status=lambda job: (status, "killed by SIGSEGV") if job.allocator.name == who else None
    )
    found = gate(tmp_path, executor=executor)
    assert found.exit_code == code
    assert found.failures[0].message == "killed by SIGSEGV"
    assert found.sessions[0].rounds == 1
    assert len(found.sessions) == 1


def test_a_probe_that_gives_nothing_fails_as_not_measured(tmp_path: Path) -> None:
    executor = FigureExecutor(calls=lambda _: None)
    found = gate(tmp_path, "time=off", executor=executor)
    assert found.exit_code == 5
    assert outcomes(found)["syscalls"] is Outcome.NOT_MEASURED


def test_limits_that_leave_no_row_measure_nothing_and_say_so(tmp_path: Path) -> None:
    with pytest.raises(NothingMeasuredError, match="every row is off"):
        gate(tmp_path, "*=off", executor=FigureExecutor())


def test_a_limit_without_effect_is_noted(tmp_path: Path) -> None:
    found = gate(tmp_path, *TIME_ONLY, "p99=5%:larson*", executor=FigureExecutor())
    assert "the limit p99=5%:larson* speaks of no row here" in found.notes


def test_a_limit_that_turns_a_row_off_has_an_effect(tmp_path: Path) -> None:
    """That a call was made is known once it was, and what is off has no row."""
    seen = FigureExecutor(calls=lambda _: {"madvise": 3, "mmap": 2})
    found = gate(tmp_path, "time=off", "syscalls.madvise=off", executor=seen)
    assert "syscalls.mmap:" in " ".join(row.row.id for row in found.rows)
    assert not [note for note in found.notes if "speaks of no row" in note]
    unseen = gate(tmp_path, "time=off", "syscalls.madvise=off", executor=FigureExecutor())
    assert "the limit syscalls.madvise=off speaks of no row here" in unseen.notes


def test_a_limit_of_build_times_speaks_of_none_where_nothing_is_built(tmp_path: Path) -> None:
    churn = small_scenario("phase-report?allocations=50&batches=2")
    lines = (*TIME_ONLY, "build_time=5%")
    found = gate(tmp_path, *lines, executor=FigureExecutor(), scenarios=[churn])
    assert "the limit build_time=5% speaks of no row here" in found.notes


def test_the_limits_of_the_guide_have_an_effect_on_every_set_that_it_names(tmp_path: Path) -> None:
    """On the scenarios of its workflow, and on the default set."""
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "gate.toml").write_text(example, encoding="utf-8")
    lines = read_limits(tmp_path / "gate.toml")
    assert lines
    (command,) = re.findall(
        r"allocphase gate --baseline mine=base.so.*\n.*--limits gate.toml", text
    )
    for names in (re.findall(r"-s (\S+)", command), ["default"]):
        scenarios = [found for name in names for found in resolve(name)]
        request = gate_request(tmp_path, *map(str, lines), scenarios=scenarios)
        rows = planned_in(request).rows
        for line in request.limits.lines:
            places = [(row.measure, row.scenario) for row in rows]
            if line.rule == "off":
                places = [(one, found.name) for one in MEASURES.values() for found in scenarios]
            assert any(line.matches(*place) for place in places), f"{line} on {names}"


def test_each_round_measures_fresh_copies_that_go_away(tmp_path: Path) -> None:
    contents: dict[str, set[tuple[str, bytes]]] = {}

    def time_ns(job: Job) -> float:
        if job.allocator.path is not None:
            entry = (str(job.allocator.path), job.allocator.path.read_bytes())
            contents.setdefault(job.allocator.name, set()).add(entry)
        return 11.0 if job.allocator.name == "candidate" else 10.0

    found = gate(tmp_path, *TIME_ONLY, executor=FigureExecutor(time_ns=time_ns))
    first, again = (session.rounds for session in found.sessions)
    paths = [path for name in ("baseline", "twin", "candidate") for path, _ in contents[name]]
    assert len(paths) == len(set(paths)) == 3 * first + 2 * again, "no twin confirms anything"
    assert len({len(path) for path in paths}) == 1
    assert {content for _, content in contents["twin"]} == {b"old.so"}
    assert {content for _, content in contents["candidate"]} == {b"new.so"}
    assert not any(Path(path).exists() for path in paths)


def test_libc_is_its_own_twin_and_that_is_said(tmp_path: Path) -> None:
    request = gate_request(tmp_path, *TIME_ONLY)
    request = replace(request, arms=Arms(arm("libc"), request.arms.candidate))
    found = run_gate(request, FigureExecutor(), progress=no_progress)
    assert "libc cannot be copied: its twin is libc itself" in found.notes


def test_a_decided_scenario_is_left_alone_while_others_go_on(tmp_path: Path) -> None:
    scenarios = [small_scenario(), small_scenario("phase-report?allocations=60")]
    noise, loud = times(1.0), times(1.02, spread=0.2)

    def time_ns(job: Job) -> float:
        return loud(job) if job.scenario == scenarios[1].name else noise(job)

    executor = FigureExecutor(time_ns=time_ns)
    gate(tmp_path, *TIME_ONLY, executor=executor, scenarios=scenarios)
    jobs = in_session(executor)[0]
    rounds = Counter(job.scenario for job in jobs if job.allocator.name == "candidate")
    assert rounds[scenarios[0].name] < rounds[scenarios[1].name] <= 40


def test_the_rounds_are_those_that_fit_and_the_confirmation_has_its_share(tmp_path: Path) -> None:
    """A job is a second here: a round of three arms takes three, with the floor's four."""
    executor = FigureExecutor(time_ns=times(1.1))
    clock = (float(n) for n in iter(lambda: len(executor.jobs), -1))
    found = gate(
        tmp_path, *TIME_ONLY, executor=executor, clock=clock, time_budget_s=60.0, verify=False
    )
    first, again = found.sessions
    assert first.planned == 1 + (40 - 4) // 3  # the floor is in the first round only
    assert first.rounds == 6, "as few as the rule asks for"
    assert again.planned > again.rounds == 7
    assert outcomes(found) == {"time": Outcome.REGRESSED}


def test_a_budget_in_which_nothing_can_be_decided_is_refused_with_what_is_needed(
    tmp_path: Path,
) -> None:
    executor = FigureExecutor()
    clock = (float(n) for n in iter(lambda: len(executor.jobs), -1))
    message = r"4 rounds can never decide 1 time: 5 can; they take 16 s here.*--time-budget 27"
    with pytest.raises(UsageError, match=message):
        gate(tmp_path, *TIME_ONLY, executor=executor, clock=clock, time_budget_s=22.0, verify=False)


def test_a_default_budget_gives_way_to_the_rounds_that_can_decide(tmp_path: Path) -> None:
    """The same machine and budget, which nobody has named: the second session has its third of what
    the first one then took.
    """
    executor = FigureExecutor(time_ns=times(1.1))
    clock = (float(n) for n in iter(lambda: len(executor.jobs), -1))
    found = gate(
        tmp_path,
        *TIME_ONLY,
        executor=executor,
        clock=clock,
        time_budget_s=22.0,
        stretch=2.0,
        verify=False,
    )
    first, again = found.sessions
    assert first.rounds == first.planned == 5
    assert again.rounds >= 1
    assert outcomes(found)["time"] in (Outcome.REGRESSED, Outcome.INCONCLUSIVE)


def test_too_few_rounds_are_refused_before_anything_runs(tmp_path: Path) -> None:
    executor = FigureExecutor()
    with pytest.raises(UsageError, match=r"4 rounds can never .*: --max-rounds 5 or more"):
        gate(tmp_path, *TIME_ONLY, executor=executor, max_rounds=4)
    assert not executor.jobs


def test_latencies_are_compared_with_addresses_drawn_anew(tmp_path: Path) -> None:
    executor = FigureExecutor(ops=1200)
    gate(tmp_path, "*=off", "p90=10%", executor=executor, scenarios=[LONG])
    jobs = [job for job in executor.jobs if job.probe is Probe.LATENCY]
    assert jobs
    assert all("fixed-addresses" not in job.options for job in jobs)


def test_a_longer_tail_is_found_where_a_limit_asks_for_it(tmp_path: Path) -> None:
    executor = FigureExecutor(
        latency_ns=lambda job: 40 if job.allocator.name == "candidate" else 30, ops=1200
    )
    found = gate(tmp_path, "*=off", "p90=10%:phase*", executor=executor, scenarios=[LONG])
    assert outcomes(found) == {"p90": Outcome.REGRESSED}
    assert gate(tmp_path, "*=off", "p90=50%", executor=executor, scenarios=[LONG]).exit_code == 0


def test_a_quantile_with_few_calls_beyond_it_is_left_out_with_words(tmp_path: Path) -> None:
    """600 mallocs, repeated 50 times."""
    lines = ("*=off", "p99=10%", "p99_9=10%")
    found = gate(tmp_path, *lines, executor=FigureExecutor(ops=1200), scenarios=[LONG])
    assert set(outcomes(found)) == {"p99"}
    reason = f"p99_9:{LONG.name} is not gated: 30 calls lie beyond it in a process, 50 must"
    assert found.notes == (reason,)
    with pytest.raises(UsageError, match="30 calls lie beyond it"):
        gate(
            tmp_path,
            *lines,
            f"p99_9=10%:{LONG.name}",
            executor=FigureExecutor(ops=1200),
            scenarios=[LONG],
        )
    with pytest.raises(NothingMeasuredError, match="30 calls lie beyond it"):
        gate(tmp_path, "*=off", "p99_9=10%", executor=FigureExecutor(ops=1200), scenarios=[LONG])


def test_of_a_gate_s_latencies_the_first_round_is_kept_and_quantiles_of_the_others(
    tmp_path: Path,
) -> None:
    executor = FigureExecutor(latency_ns=lambda job: 30 + job.round % 2, ops=1200)
    found = gate(tmp_path, "*=off", "p90=10%", executor=executor, scenarios=[LONG])
    run = frames.load(found.sessions[0].path)
    timed = [record for record in run.records if record.probe is Probe.LATENCY]
    assert {record.round for record in timed} >= {0, 1, 2}
    for record in timed:
        assert bool(run.files.samples(record.id)) == record.has_samples == (record.round == 0)
    rounds = found.sessions[0].rounds
    candidate = run.records_of("candidate", LONG.name)
    values = ProcessMetrics(run.files).by_round(candidate, measure("p90"), rounds=rounds)
    assert values.tolist() == [30.0 + index % 2 for index in range(rounds)]


def test_a_gate_s_run_directory_tells_of_the_first_round_s_calls(tmp_path: Path) -> None:
    executor = FigureExecutor(ops=1200)
    found = gate(tmp_path, "*=off", "p90=10%", executor=executor, scenarios=[LONG])
    run = frames.load(found.sessions[0].path)
    (cell, *_) = run.cell_list
    mallocs = 600 * 50
    assert cell.metrics["latency_ns"]["malloc"]["samples"] == mallocs
    assert cell.metrics["process_latency_ns"]["malloc"]["p90"] == 30.0
    told = f"latency by call is of 1 of {found.sessions[0].rounds} processes"
    assert told in markdown(Source.of(run))


def test_ids_are_never_given_twice(tmp_path: Path) -> None:
    executor = FigureExecutor(
        time_ns=times(1.02),
        calls=lambda job: {"mmap": 2 if job.allocator.name == "candidate" else 1},
    )
    found = gate(tmp_path, executor=executor)
    records = frames.load(found.sessions[0].path).records
    assert len([record for record in records if record.probe == "syscalls"]) == 24
    ids = [record.id for record in records]
    assert len(ids) == len(set(ids))


def test_the_session_is_an_ordinary_run_directory_with_the_verdict_in_it(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=times(1.0))
    found = gate(tmp_path, *TIME_ONLY, executor=executor)
    folder = Path(found.sessions[0].path)
    assert frames.load(folder).allocators == ["baseline", "twin", "candidate"]
    assert not (folder / "traces").exists()
    assert read_verdict(folder).exit_code == found.exit_code


def test_a_baseline_that_does_not_exist_is_missing_and_a_candidate_is_a_mistake(
    tmp_path: Path,
) -> None:
    with pytest.raises(NothingMeasuredError, match=r"baseline: .*did you mean 'phase3'"):
        baseline_arm("phaze3")
    with pytest.raises(NothingMeasuredError, match="no such file"):
        baseline_arm(f"old={tmp_path}/old.so")
    with pytest.raises(UsageError, match=r"candidate: .*did you mean 'phase3'"):
        candidate_arm("phaze3")


def test_neither_arm_is_the_floor_or_several() -> None:
    with pytest.raises(UsageError, match="floor"):
        candidate_arm("null")
    with pytest.raises(UsageError, match="names 2, a gate compares one with one"):
        candidate_arm("phase2?objects_per_slab=1,8")


def test_another_build_of_a_known_allocator_gets_its_settings() -> None:
    ours = candidate_arm("phase2")
    assert ours.path is not None
    build = candidate_arm(f"phase2={ours.path}")
    other = candidate_arm(f"mine={ours.path}")
    assert build.config == ours.config != {}
    assert other.config == {}


def test_a_folder_is_what_its_own_file_says_whatever_the_collection_has(tmp_path: Path) -> None:
    ours = candidate_arm("phase2")
    assert ours.path is not None
    folder = tmp_path / "phase2"
    folder.mkdir()
    (folder / "phase2.so").write_bytes(ours.path.read_bytes())
    (folder / "allocator.toml").write_text(
        'title = "Mine"\nsummary = "s"\nkind = "plugin"\n[config]\nobjects_per_slab = 3\n'
    )
    for spec in (str(folder), f"phase2={folder}"):
        found = candidate_arm(spec)
        assert (found.name, found.title, found.path) == ("phase2", "Mine", folder / "phase2.so")
        assert found.config == {"objects_per_slab": "3"}


def test_functions_that_do_not_begin_a_cache_line_are_a_doubt_about_times(tmp_path: Path) -> None:
    executor = FigureExecutor(alignment=lambda job: 16 if job.allocator.name == "candidate" else 64)
    (note,) = gate(tmp_path / "a", executor=executor).notes
    assert note.startswith("the functions of the candidate do not begin a cache line")
    assert "-falign-functions=64" in note
    assert gate(tmp_path / "b", *CALLS_ONLY, executor=executor).notes == ()
    assert gate(tmp_path / "c", executor=FigureExecutor()).notes == ()


def test_two_copies_of_one_object_lie_alike_whatever_their_alignment(tmp_path: Path) -> None:
    executor = FigureExecutor(alignment=lambda _: 16)
    (tmp_path / "one.so").write_bytes(b"one")
    arms = Arms(arm("old", tmp_path / "one.so"), arm("new", tmp_path / "one.so"))
    assert gate(tmp_path / "a", executor=executor, arms=arms).notes == ()


def test_a_verdict_that_cannot_be_written_is_one_error_that_names_its_file(tmp_path: Path) -> None:
    """As on a full disk: the session's folder has something else under that name."""

    def in_the_way(job: Job) -> float:
        (trace_of(job).parents[1] / "gate.json" / "in the way").mkdir(parents=True, exist_ok=True)
        return 10.0

    with pytest.raises(AllocphaseError, match=r"gate\.json"):
        gate(tmp_path, *TIME_ONLY, executor=FigureExecutor(time_ns=in_the_way))
