"""Does the gate cry wolf, and does it sleep? Gates of known truth on this machine.

In full (`make benchmark`) this takes some hours on a quiet machine; the number of sessions is
ALLOCPHASE_SESSIONS (20). Each test prints a table as docs/method.md has it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase import scenario
from allocphase.allocator import Allocator
from allocphase.analysis import frames
from allocphase.analysis.measures import MEASURES
from allocphase.analysis.metrics import process_time_ns
from allocphase.commands.gate import TAILS
from allocphase.gate import Arms, GateRequest, run_gate
from allocphase.gate.request import STRETCH, TIME_BUDGET_S
from allocphase.judge import (
    BASELINE,
    CANDIDATE,
    TWIN,
    Evidence,
    GateRow,
    GateVerdict,
    Limits,
    Outcome,
)
from allocphase.judge.judge import ALPHA, CONFIRM_ALPHA
from allocphase.judge.limits import parse_limit
from allocphase.process.driver import DriverExecutor
from allocphase.run.request import draw_seed
from allocphase.selftest import Selftest, Trial, behind_toll, calibrate, run_trials, with_toll
from allocphase.stats import Decision, SequentialRank, Verdict, proportion_interval
from tests.benchmarks.conftest import Say
from tests.support.gates import no_progress
from tests.support.plugins import ROOT
from tests.support.rivals import mann_whitney, pytest_benchmark
from tests.support.scenarios import resolve_traced

Floats = npt.NDArray[np.float64]

SESSIONS = int(os.environ.get("ALLOCPHASE_SESSIONS", "20"))
# Quick to replay, and unlike each other: 5 x 4 rows a session, so that 10 sessions make 200.
ALLOCATORS = ("phase1", "phase21", "phase3", "mimalloc", "jemalloc")
SCENARIOS = ("phase-report", "phase-report-churn", "random-churn", "realloc-growth")
DEFAULT_ARMS = ("phase3", "libc", "mimalloc", "jemalloc", "tcmalloc")
RULES = ("pytest_benchmark", "mann_whitney", "gate")
# The other rules get at least as many values as their users give them.
MIN_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One time row of one session: whether each rule calls it regressed."""

    pytest_benchmark: bool
    mann_whitney: bool
    gate: bool
    ratio: float


def gate_request(arms: Arms, scenarios: Sequence[str], out: Path, *, full: bool) -> GateRequest:
    return GateRequest(
        arms=arms,
        scenarios=[found for name in scenarios for found in scenario.resolve(name)],
        limits=Limits(),
        out=out,
        max_rounds=40 if full else 8,
        min_rounds=MIN_ROUNDS if full else 1,
        time_budget_s=120.0 if full else 60.0,
        verify=False,
    )


def run(request: GateRequest) -> GateVerdict:
    return run_gate(request, DriverExecutor(), progress=no_progress)


def times(run: frames.Run, arm: str, name: str) -> Floats:
    """ns per operation of an arm, shape (rounds,)."""
    records = [r for r in run.records_of(arm, name) if r.probe == "throughput"]
    return np.array([process_time_ns(r) for r in sorted(records, key=lambda r: r.round)])


def judged(recorded: frames.Run, name: str, *, gate: bool, ratio: float) -> Row:
    """What the other rules say of the processes on which the gate said `gate`."""
    arms = [times(recorded, arm, name) for arm in (BASELINE, CANDIDATE)]
    return Row(
        pytest_benchmark=pytest_benchmark(*arms) is Verdict.REGRESSED,
        mann_whitney=mann_whitney(*arms) is Verdict.REGRESSED,
        gate=gate,
        ratio=ratio,
    )


def replayed(verdict: GateVerdict) -> Iterator[Row]:
    """Each time row of a verdict under all rules."""
    recorded = frames.load(verdict.sessions[0].path)
    for row in verdict.rows:
        if row.row.measure.name == "time":
            yield judged(
                recorded,
                row.row.scenario,
                gate=row.outcome is Outcome.REGRESSED,
                ratio=row.first.ratio.estimate,
            )


def count(rows: Sequence[Row]) -> dict[str, int]:
    """How many rows each rule calls regressed."""
    return {rule: sum(getattr(row, rule) for row in rows) for rule in RULES}


def share(found: int, of: int) -> str:
    interval = proportion_interval(found, of)
    return f"{found} of {of} ({interval.lower:.1%} to {interval.upper:.1%})"


def codes(verdicts: Sequence[GateVerdict]) -> str:
    """How often each exit code came up."""
    seen = [verdict.exit_code for verdict in verdicts]
    return ", ".join(f"{code}: {seen.count(code)}" for code in sorted(set(seen)))


def _counted_as_worse(row: GateRow) -> bool:
    return not row.row.measure.timed and row.outcome is Outcome.REGRESSED


def test_identical_objects_raise_no_alarm(
    benchmark: BenchmarkFixture,
    full: bool,
    say: Say,
    tmp_path: Path,
    installed: Callable[[str], Allocator],
) -> None:
    names = ALLOCATORS if full else ("phase3",)
    scenarios = SCENARIOS if full else SCENARIOS[:1]
    sessions = max(1, SESSIONS // 2) if full else 1

    def measure() -> list[GateVerdict]:
        arms = [installed(name) for name in names]
        return [
            run(gate_request(Arms(arm, arm), scenarios, tmp_path, full=full))
            for _ in range(sessions)
            for arm in arms
        ]

    verdicts = benchmark.pedantic(measure, rounds=1, iterations=1)
    rows = [row for verdict in verdicts for row in replayed(verdict)]
    ratios = np.array([row.ratio for row in rows])
    say(f"A/A: {len(rows)} rows, ratios {ratios.min():.4f} to {ratios.max():.4f}")
    lines = ["| rule | regressed, of identical arms (95% interval) |", "| --- | ---: |"]
    for rule, found in count(rows).items():
        benchmark.extra_info[rule] = found
        lines.append(f"| {rule} | {share(found, len(rows))} |")
    say("\n  ".join(lines))
    say(f"exit codes: {codes(verdicts)}")
    assert rows
    assert not [r.row.id for v in verdicts for r in v.rows if _counted_as_worse(r)]


@pytest.mark.parametrize("tails", [False, True], ids=["times and counts", "tails too"])
@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "busy"])
def test_the_default_gate_passes_where_nothing_changed(
    benchmark: BenchmarkFixture,
    full: bool,
    say: Say,
    tmp_path: Path,
    installed: Callable[[str], Allocator],
    busy: bool,
    tails: bool,
) -> None:
    """The default scenarios, budget and rows; busy: an endless loop on each CPU meanwhile, or for
    a sign of life on one.
    """
    cpus = sorted(os.sched_getaffinity(0))[: None if full else 1]
    lines = TAILS if tails else ()
    names = DEFAULT_ARMS if full else DEFAULT_ARMS[:1]
    sessions = max(1, SESSIONS // len(names)) if full else 1

    def measure() -> list[GateVerdict]:
        found = []
        for _ in range(sessions):
            for name in names:
                arm = installed(name)
                scenarios = ["default"] if full else ["phase-report"]
                request = gate_request(Arms(arm, arm), scenarios, tmp_path, full=full)
                request = replace(
                    request,
                    limits=Limits(lines=tuple(parse_limit(line) for line in lines)),
                    min_rounds=1,
                    # So many at least can decide the rows of the tails.
                    max_rounds=40 if full else 15 if tails else 8,
                    time_budget_s=TIME_BUDGET_S if full else 60.0,
                    stretch=STRETCH,  # as where nobody names a budget
                )
                found.append(run(request))
        return found

    with endless_loops(cpus) if busy else nullcontext():
        verdicts = benchmark.pedantic(measure, rounds=1, iterations=1)
    rows = [row for verdict in verdicts for row in verdict.rows]
    timed = [row for row in rows if row.row.measure.timed]
    seconds = [sum(session.seconds for session in verdict.sessions) for verdict in verdicts]
    say(f"exit codes of {len(verdicts)} gates: {codes(verdicts)}; {np.median(seconds):.0f} s each")
    for kind, of in (("times", timed), ("counts", [row for row in rows if row not in timed])):
        outcomes = Counter(str(row.outcome) for row in of)
        say(f"{len(of)} {kind}: {', '.join(f'{n} {word}' for word, n in outcomes.items())}")
    benchmark.extra_info["exit_codes"] = [verdict.exit_code for verdict in verdicts]
    assert not [row.row.id for row in rows if _counted_as_worse(row)]


@contextmanager
def endless_loops(cpus: Sequence[int]) -> Iterator[None]:
    """One on each of these CPUs."""
    loops = []
    for cpu in cpus:
        command = ["taskset", "-c", str(cpu), sys.executable, "-c", "while True: pass"]
        loops.append(subprocess.Popen(command))
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


TOLL_PERIOD = 64  # selftest/slow.c
# What is injected at which limit: below it, and enough above it.
CASES = {"below": ((0.02, 0.01), (0.01, 0.0)), "above": ((0.02, 0.05), (0.01, 0.03))}
# Both rules are replayed on the same rounds: so many suffice for the slower one.
REPLAYED_ROUNDS = 25


@pytest.mark.parametrize("side", CASES)
@pytest.mark.parametrize("name", ["phase3", "mimalloc"])
def test_injected_slowdowns_above_the_limit_are_found_and_none_below_it(
    benchmark: BenchmarkFixture,
    full: bool,
    say: Say,
    tmp_path: Path,
    installed: Callable[[str], Allocator],
    name: str,
    side: str,
) -> None:
    """Calibrated anew for each session: beside a neighbour on its core, a machine takes longer for
    the toll's loop by another factor than for an allocator.
    """
    cases = CASES[side] if full else CASES[side][:1]
    sessions = SESSIONS if full else 1
    chosen = resolve_traced("random-churn" if full else "phase-report")[0]
    executor = DriverExecutor()

    def plans() -> Iterator[Selftest]:
        subject = behind_toll(installed(name))
        for _ in range(sessions):
            turn = calibrate(subject, chosen, executor, out=tmp_path, progress=no_progress)
            for theta, effect in cases:
                yield Selftest(
                    subject=subject,
                    scenario=chosen,
                    calibration=turn,
                    sessions=1,
                    theta=theta,
                    max_rounds=40 if full else 6,
                    min_rounds=REPLAYED_ROUNDS if full else 1,
                    out=tmp_path,
                    effects=(effect,),
                )

    def measure() -> list[tuple[float, Trial]]:
        return [
            (plan.theta, trial)
            for plan in plans()
            for trial in run_trials(plan, executor, progress=no_progress)
        ]

    trials = benchmark.pedantic(measure, rounds=1, iterations=1)
    lines = [
        "| allocator | limit | injected | measured | pytest_benchmark | mann_whitney "
        "| the gate (95%) | signs alone | processes | of signs alone |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for theta, effect in cases:
        group = [trial for limit, trial in trials if (limit, trial.effect) == (theta, effect)]
        rows = [
            judged(frames.load(t.paths[0]), chosen.name, gate=t.alarm, ratio=t.ratio) for t in group
        ]
        found = count(rows)
        now, before = (
            [taken(trial, chosen.name, theta, ranks=ranks) for trial in group]
            for ranks in (True, False)
        )
        benchmark.extra_info[f"{name} {theta:.0%} {effect:.0%}"] = found
        ratio = float(np.median([row.ratio for row in rows]))
        lines.append(
            f"| {name} | {theta:.0%} | {effect:.0%} | {ratio - 1:+.2%} | "
            f"{found['pytest_benchmark']} | {found['mann_whitney']} | "
            f"{share(found['gate'], len(group))} | {sum(one.found for one in before)} | "
            f"{np.mean([one.processes for one in now]):.0f} | "
            f"{np.mean([one.processes for one in before]):.0f} |"
        )
    say("\n  ".join(lines))
    assert len(trials) == len(cases) * sessions


@dataclass(frozen=True, slots=True)
class Taken:
    """What a rule says of the recorded rounds of a gate, and how many processes it took."""

    found: bool
    processes: int


def taken(trial: Trial, name: str, theta: float, *, ranks: bool) -> Taken:
    """By ranks and then signs, of passes that met with the same, as the gate does; or by signs
    twice, of whole processes, with a twin that only looks on, as it did. What was not flagged when
    it was recorded has no second session to replay.
    """
    processes = 0
    for number, path in enumerate(trial.paths):
        others = 2 if ranks and number == 0 else 1
        alpha = CONFIRM_ALPHA if ranks and number else ALPHA
        rule = SequentialRank(theta=theta, alpha=alpha, others=others)
        recorded = frames.load(path)
        found = gates_times(recorded, name) if ranks else whole_times(recorded, name)
        logs = [np.log(arm) for arm in found[: others + 1]]
        x = np.column_stack([logs[0] - other for other in logs[1:]])
        outcome = rule.decide(x)
        bounded = next(n for n in range(1, 41) if rule.sides[n - 1] <= n * others)
        regressed = outcome.decision is Decision.REGRESSED
        rounds = outcome.rounds if regressed else max(outcome.rounds, bounded)
        processes += rounds * (2 if ranks and number else 3)
        if not regressed:
            return Taken(False, processes)
    return Taken(len(trial.paths) == 2, processes)


def gates_times(recorded: frames.Run, name: str) -> list[Floats]:
    """Of the candidate, the baseline and its twin, as the gate reads them."""
    evidence = Evidence()
    evidence.add(recorded.records)
    found = evidence.values(MEASURES["time"], name)
    return [found.candidate, found.base, found.twin]


def whole_times(recorded: frames.Run, name: str) -> list[Floats]:
    """The same of each process by itself."""
    return [times(recorded, arm, name) for arm in (CANDIDATE, BASELINE, TWIN)]


def test_a_doubled_tail_is_found_where_it_is_gated(
    benchmark: BenchmarkFixture,
    full: bool,
    say: Say,
    tmp_path: Path,
    installed: Callable[[str], Allocator],
) -> None:
    """p99.9 and no other row; the toll falls on one call in 64, and is twice p99.9."""
    chosen = resolve_traced("random-churn")[0]
    subject, executor = behind_toll(installed("phase3")), DriverExecutor()
    turn = calibrate(subject, chosen, executor, out=tmp_path, progress=no_progress)
    lines = tuple(parse_limit(line) for line in ("*=off", "p99_9=25%"))

    def gated(candidate: Allocator) -> GateVerdict:
        request = gate_request(
            Arms(with_toll(subject), candidate), [chosen.name], tmp_path, full=full
        )
        return run(replace(request, limits=Limits(lines=lines), min_rounds=1))

    def measure() -> tuple[list[GateVerdict], list[GateVerdict]]:
        same = [gated(with_toll(subject)) for _ in range(SESSIONS if full else 1)]
        tail_ns = same[0].rows[0].first.base
        turns = max(1, round(2.0 * tail_ns / (TOLL_PERIOD * turn.turn_ns)))
        slower = with_toll(subject, iterations=turns)
        return same, [gated(slower) for _ in range(SESSIONS if full else 1)]

    same, doubled = benchmark.pedantic(measure, rounds=1, iterations=1)
    for what, verdicts in (("identical", same), ("p99.9 doubled", doubled)):
        ratios = [verdict.rows[0].first.ratio.estimate for verdict in verdicts]
        found = sum(verdict.rows[0].outcome is Outcome.REGRESSED for verdict in verdicts)
        benchmark.extra_info[what] = found
        say(
            f"{what}: median ratio {np.median(ratios):.2f}, regressed "
            f"{share(found, len(verdicts))}; exit codes {codes(verdicts)}"
        )
    assert len(same) == len(doubled)


def linked(folder: Path, label: str, *, padding_bytes: int) -> Path:
    """phase3 of this checkout; with padding, other code lies before it in the object."""
    pad = folder / "pad.s"
    pad.write_text(
        f'.text\n.fill {padding_bytes}, 1, 0x90\n.section .note.GNU-stack,"",@progbits\n'
    )
    source, target = ROOT / "allocators" / "phase3" / "phase3.c", folder / f"{label}.so"
    flags = ["-std=c11", "-O2", "-g", "-fPIC", "-fvisibility=hidden", f"-I{ROOT / 'driver'}"]
    objects = [folder / "pad.o", folder / "phase3.o"]
    subprocess.run(["cc", "-c", "-o", str(objects[0]), str(pad)], check=True)
    subprocess.run(["cc", *flags, "-c", "-o", str(objects[1]), str(source)], check=True)
    order = objects if padding_bytes else objects[::-1]
    subprocess.run(["cc", "-shared", "-o", str(target), *map(str, order)], check=True)
    return target


def test_another_link_order_is_no_regression(
    benchmark: BenchmarkFixture,
    full: bool,
    say: Say,
    tmp_path: Path,
    installed: Callable[[str], Allocator],
) -> None:
    """The same machine code, moved by 1,616 bytes: 16-aligned, and other cache lines and sets."""
    known = installed("phase3")

    def arm(label: str, padding_bytes: int) -> Allocator:
        path = linked(tmp_path, label, padding_bytes=padding_bytes)
        return replace(known, name=label, path=path)

    arms = Arms(arm("plain", 0), arm("moved", 1616))
    scenarios = ("random-churn", "phase-report-churn") if full else ("phase-report",)

    def measure() -> list[GateVerdict]:
        request = gate_request(arms, scenarios, tmp_path, full=full)
        sessions = SESSIONS if full else 1
        return [run(replace(request, seed=draw_seed())) for _ in range(sessions)]

    verdicts = benchmark.pedantic(measure, rounds=1, iterations=1)
    for name in scenarios:
        rows = [r for v in verdicts for r in v.rows if r.row.id == f"time:{name}"]
        ratios = np.array([row.first.ratio.estimate for row in rows])
        found = sum(row.outcome is Outcome.REGRESSED for row in rows)
        benchmark.extra_info[name] = float(np.median(ratios))
        say(
            f"phase3 relinked, {name}: median of ratios {np.median(ratios):.4f} "
            f"({ratios.min():.4f} to {ratios.max():.4f}), regressed {share(found, len(rows))}"
        )
    say(f"exit codes: {codes(verdicts)}")
    assert not [r.row.id for v in verdicts for r in v.rows if _counted_as_worse(r)]
