"""Judging: claims against runs written by hand, whose every figure is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allocphase.analysis import frames
from allocphase.claim import (
    Judged,
    Section,
    Verdict,
    exit_code,
    judge,
    load,
    read_section,
    write_section,
)
from allocphase.errors import DataError
from allocphase.files.typed import read
from allocphase.probe.arrays import SLOW_CALL, SYSCALL_EVENT, Arrays
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result
from allocphase.probe.status import Status
from allocphase.store.record import ProcessRecord
from allocphase.store.writer import RunWriter
from tests.support.manifests import allocator_entry, manifest_of, scenario_entry
from tests.support.runs import memory_part

MALLOC, FREE = 0, 4
# Ten mallocs, then ten frees: enough for a p90 with one call above it.
KINDS = np.repeat(np.array([MALLOC, FREE], dtype=np.uint8), 10)
CLOCK = {"hz": 1e9, "overhead_ns": 1.0, "step_ns": 1.0}
HEAD = 'title = "T"\nsource = "S"\n[[claim]]\nid = "A"\ntext = "t"\nsource = "s"\n'


@dataclass
class Writer:
    """A run directory in the making, with the scenarios `flow` and `flow?n=...`."""

    folder: Path
    scenarios: Sequence[str] = ("flow",)
    processes: int = 0

    def __post_init__(self) -> None:
        self.writer = RunWriter(self.folder)
        manifest = manifest_of(
            [allocator_entry(name) for name in ("slow", "quick")],
            [scenario_entry(name, 6) for name in self.scenarios],
            label="by hand",
            started="2026-01-01T00:00:00+00:00",
            environment={"cpu": "Abacus"},
        )
        self.writer.write_manifest(manifest)
        size = np.zeros(len(KINDS), np.uint32)
        rank = np.arange(len(KINDS), dtype=np.uint32)
        arrays: Arrays = {"kind": KINDS, "size": size, "thread": size.astype(np.uint16), "op": rank}
        for index in range(len(self.scenarios)):
            self.writer.write_operations(index, arrays)

    def add(
        self,
        allocator: str,
        probe: str,
        result: Mapping[str, Any],
        arrays: Arrays | None = None,
        *,
        round_index: int = 0,
        scenario: str = "flow",
        status: str = "ok",
    ) -> None:
        record = ProcessRecord(
            id=self.processes,
            round=round_index,
            allocator=allocator,
            scenario=scenario,
            probe=Probe(probe),
            status=Status(status),
            message="" if status == "ok" else "by hand",
            wall_s=0.1,
            result=read(Result, result),
        )
        self.writer.add(record, arrays or {})
        self.processes += 1

    def times(self, allocator: str, times_ns: Sequence[float], *, scenario: str = "flow") -> None:
        """A throughput process in each round."""
        for index, time_ns in enumerate(times_ns):
            passes = {"warm_ns_per_op": [time_ns], "cold_ns_per_op": time_ns}
            self.add(
                allocator,
                "throughput",
                {"throughput": passes},
                round_index=index,
                scenario=scenario,
            )

    def latencies(
        self,
        allocator: str,
        calls_ns: Sequence[int],
        *,
        rounds: int = 5,
        faults: Sequence[int] = (),
    ) -> None:
        """A latency process in each round; `faults`: operations with a page fault."""
        ticks = np.array(calls_ns, dtype=np.uint32)
        slow = np.array([(op, 1, 0, 0) for op in faults], dtype=SLOW_CALL)
        arrays = {"call_ticks": ticks, "touch_ticks": ticks * 0, "slow": slow}
        for index in range(rounds):
            self.add(
                allocator, "latency", {"clock": CLOCK, "latency": {}}, arrays, round_index=index
            )

    def calls(
        self,
        allocator: str,
        operation: Mapping[str, int],
        *,
        init: Mapping[str, int] | None = None,
        at: Sequence[int] = (),
        stats: Mapping[str, float] | None = None,
    ) -> None:
        """A syscalls process; `at`: operations that made an mmap."""
        counts = {"init": init, "operation": operation, "teardown": {}, "backend": "by hand"}
        result = {"operations": len(KINDS), "syscalls": {**counts, "numbers": {"9": "mmap"}}}
        events = np.array([(op, 0, 9) for op in at], dtype=SYSCALL_EVENT)
        self.add(
            allocator, "syscalls", {**result, "allocator_stats": stats or {}}, {"syscalls": events}
        )


@pytest.fixture
def run(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "run")


def judged(run: Writer, checks: str, *, published: str = "", after: str = "") -> Section:
    path = run.folder / "claims.toml"
    path.write_text(f"{HEAD}published = {{ {published} }}\n{checks}\n{after}")
    return judge(load(str(path)), frames.load(run.folder))


def only(section: Section) -> Judged:
    (claim,) = section.claims
    return claim


def check(form: str, allocator: str, *lines: str) -> str:
    head = f'[[claim.check]]\nform = "{form}"\nallocator = "{allocator}"\nscenario = "flow"\n'
    return head + "\n".join(lines) + "\n"


def ratio(bound: str) -> str:
    return check(
        "ratio", "slow", 'metric = "time_per_op_ns"', 'to = { allocator = "quick" }', bound
    )


def count(metric: str, relation: str, allocator: str = "quick") -> str:
    return check("count", allocator, f'metric = "{metric}"', relation)


# ---- Arithmetic ------------------------------------------------------------------------------


def test_the_phase_report_contradicts_itself_in_c3_and_c5_and_nowhere_else() -> None:
    section = judge(load("phase-report"), None)
    own = {claim.id: claim.own_figures for claim in section.claims if claim.own_figures}
    assert own == {
        "C1": Verdict.CONSISTENT,
        "C2": Verdict.CONSISTENT,
        "C3": Verdict.INCONSISTENT,
        "C4": Verdict.CONSISTENT,
        "C5": Verdict.INCONSISTENT,
    }
    assert {claim.id for claim in section.claims if claim.verdict == "inconsistent"} == {"C3", "C5"}


@pytest.mark.parametrize(
    ("operation", "of", "value"),
    [
        ("ratio", ["a_ns", "b_ns"], 5.0),
        ("reduction", ["b_ns", "a_ns"], 0.8),
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


def test_the_quantiles_of_one_process_are_divided(run: Writer) -> None:
    run.latencies("quick", [10] * 8 + [20, 70] + [1000] * 10)
    tail = check(
        "quantile_ratio", "quick", 'upper = "max"', 'lower = "p50"', "about = 7\nwithin = 0.1"
    )
    assert only(judged(run, tail)).checks[0].value == pytest.approx(7.0)
    assert only(judged(run, tail)).verdict == "reproduced"


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


# ---- Causes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "share"),
    [("system call", 0.5), ("page fault", 1.0), ("sleep", 0.0), ("preemption", 0.0)],
)
def test_of_the_slowest_calls_those_with_an_event_are_counted(
    run: Writer, event: str, share: float
) -> None:
    # Above the p50 of malloc lie operations 8 and 9; the frees are slower and are none of them.
    run.latencies("quick", [10] * 8 + [60, 70] + [1000] * 10, faults=[0, 8, 9, 12])
    run.calls("quick", {"mmap": 3}, at=[0, 9, 12])
    table = check(
        "share", "quick", 'above = "p50"', f'event = "{event}"', f"about = {share}\nwithin = 0"
    )
    finding = only(judged(run, table)).checks[0]
    assert (finding.value, finding.verdict) == (share, "reproduced")


# ---- Counts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "relation", "verdict"),
    [
        ("syscalls.operation.mmap", "equals = 3", "reproduced"),
        ("syscalls.operation.mmap", "equals = 4", "contradicted"),
        ("syscalls.operation.mmap", "at_least = 3", "reproduced"),
        ("syscalls.operation.mmap", "at_most = 2", "contradicted"),
        ("syscalls.operation", "equals = 8", "reproduced"),
        ("syscalls.operation.brk", "equals = 0", "reproduced"),
        ("syscalls.teardown", "equals = 0", "reproduced"),
        ("syscalls.init", "equals = 0", "not measured"),
        ("syscalls.init.mmap", "equals = 0", "not measured"),
        ("syscalls_per_op", "equals = 0.4", "reproduced"),
        ("allocator_stats.frequency_hz.3.14159", "equals = 7", "reproduced"),
        ("allocator_stats.pool_hits", "equals = 0", "not measured"),
        ("peak_rss_bytes", "equals = 0", "not measured"),
    ],
)
def test_counts_are_exact_and_an_unseen_phase_is_not_zero(
    run: Writer, metric: str, relation: str, verdict: str
) -> None:
    stats = {"frequency_hz.3.14159": 7.0, "pool_hit_rate": 1.0}
    run.calls("quick", {"mmap": 3, "munmap": 5}, init=None, stats=stats)
    assert only(judged(run, count(metric, relation))).verdict == verdict


def test_a_statistic_that_the_allocator_does_not_have_gets_the_nearest_one(run: Writer) -> None:
    run.calls("quick", {}, stats={"pool_hit_rate": 1.0})
    finding = only(judged(run, count("allocator_stats.pool_hit_rat", "equals = 1"))).checks[0]
    assert "did you mean 'allocator_stats.pool_hit_rate'" in finding.measured


def test_system_calls_that_nothing_could_see_are_not_zero(run: Writer) -> None:
    run.add("quick", "syscalls", {"operations": 20, "syscalls": {}})
    assert only(judged(run, count("syscalls.operation", "equals = 0"))).verdict == "not measured"


def test_a_difference_of_two_cells_is_a_count(run: Writer) -> None:
    run.calls("slow", {"mmap": 10})
    run.calls("quick", {"mmap": 4, "munmap": 1})
    table = count("syscalls.operation.mmap", 'equals = 6\nminus = { allocator = "quick" }', "slow")
    finding = only(judged(run, table)).checks[0]
    assert (finding.value, finding.verdict) == (6.0, "reproduced")
    assert finding.measured == "10 - 4 = 6"


@pytest.mark.parametrize(("bound", "verdict"), [(1.2, "reproduced"), (1.19, "contradicted")])
def test_bytes_divide_exactly(run: Writer, bound: float, verdict: str) -> None:
    memory = memory_part(peak_live_bytes=1000, peak_rss_bytes=1200)
    run.add("quick", "memory", {"memory": memory})
    table = check(
        "ratio",
        "quick",
        'metric = "peak_rss_bytes"',
        'to = { metric = "peak_live_bytes" }',
        f"at_most = {bound}",
    )
    assert only(judged(run, table)).verdict == verdict


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


def test_what_is_inconclusive_is_no_failure(run: Writer) -> None:
    run.times("quick", [10.0])
    run.times("slow", [20.0])
    assert exit_code(judged(run, ratio("at_most = 1")), measured_now=True) == 0


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
    }
    run.writer.write_operations(0, arrays)
    run.latencies(allocator, list(calls_ns), rounds=rounds)
    run.calls(allocator, {})


def test_the_thesis_says_that_spikes_stay(tmp_path: Path) -> None:
    spikes, search = thesis(tmp_path, spike_ns=90, exponent=1.0)
    assert "cut the p99.9 of malloc" in spikes
    assert "the spikes are not gone: p99.9 is 9.00x" in spikes
    assert "time per allocation grows" in search
    assert "exponent 1.00" in search
    assert "2.00x (2.00x to 2.00x) that of slow, which has no such search." in search


def test_the_thesis_says_that_spikes_are_gone(tmp_path: Path) -> None:
    spikes, search = thesis(tmp_path, spike_ns=20, exponent=0.0)
    assert "the spikes are gone: p99.9 is 2.00x" in spikes
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
