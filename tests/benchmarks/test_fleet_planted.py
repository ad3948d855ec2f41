"""A regression that is planted on one host of three: does `fleet gate` find it, and name that host?

The hosts are workers on this machine, each in a UTS namespace with a name of its own; the candidate
is one object that is slower where gethostname tells one of the names (c/planted.c), and the
baseline the same source without. They take turns by the machine lock. Where namespaces are not
permitted the tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase.allocator import Allocator
from allocphase.fleet.gated import gate_fleet
from allocphase.fleet.hosts import read_files
from allocphase.fleet.standing import Standing
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from tests.benchmarks.conftest import MakeTrace, Say
from tests.support.driving import Driver
from tests.support.fleets import END_S, TrialFleet
from tests.support.plugins import Plugins, plugin

HOSTS = ("epyc", "xeon", "arm")
PLANTED = "xeon"
EFFECT = 0.05
SCENARIO = "random-churn"
GUESS, PAIRS = 2000, 9
OWN_NAME = ("unshare", "--user", "--map-root-user", "--uts")
FOLDER = Path(__file__).parent / "c"


def named(host: str) -> list[str]:
    """In front of a command: it runs on a machine of that name."""
    return [*OWN_NAME, "sh", "-c", 'hostname "$0" && exec "$@"', host]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[TrialFleet]:
    seen = subprocess.run([*named("epyc"), "hostname"], capture_output=True, text=True, check=False)
    if seen.stdout.strip() != "epyc":
        pytest.skip(f"a UTS namespace is not permitted here: {seen.stderr.strip()}")
    prefix = {host: named(host) for host in HOSTS}
    lock = tmp_path / "machine.lock"
    with TrialFleet(tmp_path, HOSTS, prefix=prefix, lock=lock).running() as found:
        yield found


def turns_for(effect: float, driver: Driver, trace: Path, plugins: Plugins) -> tuple[int, float]:
    """How many turns make malloc so much slower here, by pairs of processes; and ns without."""

    def arm(turns: int) -> Allocator:
        here = f'HOST="{os.uname().nodename}"'
        return plugin(plugins("planted", here, f"TURNS={turns}", folder=FOLDER))

    def ns(subject: Allocator) -> float:
        outcome = driver.measure(Probe.THROUGHPUT, trace, subject)
        return float(np.median(outcome.result.part(Throughput).warm_ns_per_op))

    free, paid = arm(0), arm(GUESS)
    pairs = np.array([(ns(free), ns(paid)) for _ in range(PAIRS)])
    free_ns = float(np.median(pairs[:, 0]))
    turn_ns = float(np.median(pairs[:, 1] - pairs[:, 0])) / GUESS
    assert turn_ns > 0, "the toll makes no difference here: the machine is too busy"
    return round(effect * free_ns / turn_ns), free_ns


def test_what_is_slower_on_one_host_alone_is_found_and_that_host_is_named(
    benchmark: BenchmarkFixture,
    full: bool,
    say: Say,
    fleet: TrialFleet,
    driver: Driver,
    trace_of: MakeTrace,
    plugins: Plugins,
) -> None:
    effect = EFFECT if full else 1.0  # which few rounds show, too
    turns, free_ns = turns_for(effect, driver, trace_of(SCENARIO), plugins)
    sources = {
        "old": ('HOST=""', "TURNS=0"),
        "new": (f'HOST="{PLANTED}"', f"TURNS={turns}"),
    }
    objects = {name: plugins("planted", *to, folder=FOLDER) for name, to in sources.items()}
    arms = [f"--baseline=mine={objects['old']}", f"--candidate=mine={objects['new']}"]
    scenario = ("-s", SCENARIO) if full else ("-s", "phase-report")
    limits = () if full else ("--max-rounds", "10", "--time-budget", "60")

    def measure() -> Path:
        gate = fleet.controller("gate", *fleet.on_all_hosts(), *arms, *scenario, *limits)
        assert gate.wait(END_S * 4) == 3, fleet.said()
        return fleet.begun()

    verdict = gate_fleet(read_files(benchmark.pedantic(measure, rounds=1, iterations=1)))
    times = [row for row in verdict.rows if row.metric == "time"]
    say(
        f"{turns} turns on every 64th call of {free_ns:.1f} ns, {effect:.0%} on {PLANTED} of "
        f"{len(HOSTS)}: " + "; ".join(f"{row.metric}: {row.finding}" for row in verdict.rows)
    )
    for row in times:
        ratios = [f"{one.host} {one.ratio.estimate:.3f}" for one in row.hosts]
        say(f"{row.scenario}: {', '.join(ratios)}")
    assert [row.on(Standing.WORSE) for row in times] == [[PLANTED]]
