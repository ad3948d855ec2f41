"""A history: which changes it finds and which it makes up, and how long it takes.

Noise is that of docs/method.md: log ratios of two copies of an allocator have a standard deviation
of 0.6 to 0.9%, a tenth of the rows above 2.8%; with tails, as Student's t has with 4 degrees of
freedom. Beside it stands what Apache Otava finds in the same series, which is installed into an
environment of its own for that, where a package index has it.
"""

from __future__ import annotations

import importlib
import json
import math
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase.history import CommitEntry, MeasuredValue, changes_of, open_history
from allocphase.stats import proportion_interval
from allocphase.stats.changepoint import change_points
from allocphase.stats.values import FloatArray
from tests.benchmarks.conftest import Say
from tests.support.histories import FACTS, run_of, value
from tests.support.repositories import FINE, SLOWER, made_repository, working

main: click.Group = importlib.import_module("allocphase.cli").main

COMMITS = 300
# By the commit at which it comes; the 5% are an improvement.
PLANTED = {60: 0.03, 120: -0.05, 180: 0.10, 240: 0.20}
NEAR = 2
SPREADS = (0.006, 0.009, 0.03)

Found = Sequence[Sequence[int]]


def noise(rng: np.random.Generator, sd: float) -> FloatArray:
    """Of each commit, as a logarithm. t with 4 degrees of freedom has the variance 2."""
    return np.asarray(rng.standard_t(4, COMMITS) * sd / math.sqrt(2.0))


def planted(rng: np.random.Generator, sd: float) -> FloatArray:
    level = np.zeros(COMMITS)
    for place, share in PLANTED.items():
        level[place:] += math.log1p(share)
    return np.asarray(100.0 * np.exp(level + noise(rng, sd)))


def ours(series: Sequence[FloatArray]) -> Found:
    return [[one.position for one in change_points(values)] for values in series]


# Read from stdin, so that thousands of series are one process.
OTAVA = """
import json, sys
from otava.analysis import compute_change_points
asked = json.load(sys.stdin)
found = [
    [int(point.index) for point in compute_change_points(
        series, window_len=50, max_pvalue=0.001, min_magnitude=asked["magnitude"])[0]]
    for series in asked["series"]
]
json.dump(found, sys.stdout)
"""


def otava(folder: Path) -> Callable[[Sequence[FloatArray], float], Found] | str:
    """What finds changes with it, or why there is none."""
    python = folder / "bin" / "python"
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "apache-otava>=0.8"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            return f"not installed: {last}"

    def find(series: Sequence[FloatArray], magnitude: float) -> Found:
        asked = {"magnitude": magnitude, "series": [list(values) for values in series]}
        done = subprocess.run(
            [str(python), "-c", OTAVA],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=True,
        )
        found: Found = json.loads(done.stdout)
        return found

    return find


def near(found: Found, place: int) -> int:
    """In how many series a change was found within NEAR commits of a place."""
    return sum(any(abs(each - place) <= NEAR for each in places) for places in found)


def made_up(found: Found, places: Sequence[int]) -> int:
    """How many changes are not near any of these places."""
    return sum(all(abs(each - place) > NEAR for place in places) for one in found for each in one)


def told(found: Found) -> str:
    shares = ", ".join(f"{share:+.0%}: {near(found, place)}" for place, share in PLANTED.items())
    return f"within {NEAR} commits {shares}; elsewhere {made_up(found, list(PLANTED))}"


def test_planted_changes_are_found_and_none_in_noise(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    rng = np.random.default_rng(19)
    histories, nulls = (100, 1000) if full else (2, 20)
    other = otava(tmp_path / "otava") if full else "only under make benchmark"
    finders: dict[str, Callable[[Sequence[FloatArray]], Found]] = {"allocphase": ours}
    if isinstance(other, str):
        say(f"otava: {other}")
    else:
        finders["otava"] = lambda series: other(series, 0.0)
        finders["otava from 2%"] = lambda series: other(series, 0.02)
    for sd in SPREADS if full else SPREADS[1:2]:
        series = [planted(rng, sd) for _ in range(histories)]
        silent = [np.asarray(100.0 * np.exp(noise(rng, sd))) for _ in range(nulls)]
        for name, find in finders.items():
            found, wrong = find(series), find(silent)
            loud = proportion_interval(sum(map(bool, wrong)), nulls)
            say(
                f"noise {sd:.1%}, {name}, of {histories} histories: {told(found)}; of {nulls} "
                f"without a change {sum(map(bool, wrong))} have one ({loud.lower:.2%} to "
                f"{loud.upper:.2%}), {sum(map(len, wrong))} points"
            )
            if name == "allocphase" and sd < 0.01:
                assert all(near(found, place) == histories for place in (120, 180, 240))
                assert sum(map(len, wrong)) <= 1
    benchmark.pedantic(lambda: ours(series[:1]), rounds=3 if full else 1, iterations=1)


def test_a_history_of_planted_changes_says_so_end_to_end(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    commits = COMMITS if full else 100
    steps = {place: share for place, share in PLANTED.items() if place < commits}
    times = planted(np.random.default_rng(20), 0.009)
    calls = {"metric": "syscalls", "unit": "count", "exact": True, "lower": None, "upper": None}
    counted_at = commits // 2
    with open_history(tmp_path / "h.db", make=True) as history:
        for number in range(commits):
            counted = value(7.0 + (number >= counted_at), **calls)
            history.add(run_of(number, [value(float(times[number])), counted]))
        found = benchmark.pedantic(
            lambda: changes_of(history, [history.load(one) for one in history.series()]),
            rounds=1,
            iterations=1,
        )
    for metric, wanted in {"time": list(steps), "syscalls": [counted_at]}.items():
        mine = [one for one in found if one.series.key.metric == metric]
        at = [number_of(one.after.commit) for one in mine]
        sizes = [f"{one.ratio - 1.0:+.1%}" for one in mine]
        say(f"{metric}: planted at {wanted}, found {', '.join(sizes)} at {at}")
        assert len(at) == len(wanted)
        assert all(abs(a - b) <= NEAR for a, b in zip(at, wanted, strict=True))


def number_of(commit: CommitEntry | None) -> int:
    assert commit is not None
    return int(commit.hash, 16)


def test_a_long_history_loads_a_series_in_milliseconds(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    """10 allocators, 12 scenarios, 40 metrics: 4,800 values a run."""
    runs, scenarios = (1500, 12) if full else (15, 1)
    rng = np.random.default_rng(21)
    path = tmp_path / "h.db"
    start = time.perf_counter()
    with open_history(path, make=True) as history:
        for number in range(runs):
            history.add(run_of(number, values_of_a_run(rng, scenarios, FACTS)))
    added_s = time.perf_counter() - start
    with open_history(path) as history:
        start = time.perf_counter()
        entries = history.series()
        listed_s = time.perf_counter() - start
        start = time.perf_counter()
        history.load(entries[0])  # the runs with their commits are read once
        first_s = time.perf_counter() - start
        order = iter(rng.permutation(len(entries)))
        loaded = benchmark.pedantic(
            lambda: history.load(entries[next(order)]), rounds=100, iterations=1
        )
        assert len(loaded.points) == runs
        start = time.perf_counter()
        for _ in range(50):
            history.load(entries[next(order)])
        load_s = (time.perf_counter() - start) / 50
        start = time.perf_counter()
        changes_of(history, (history.load(entry) for entry in entries))
        detected_s = time.perf_counter() - start
    say(
        f"{runs} runs x {len(entries)} values: {1e3 * added_s / runs:.0f} ms a run to add, "
        f"{path.stat().st_size / 1e6:.0f} MB; all series listed in {1e3 * listed_s:.0f} ms, the "
        f"first one loaded in {1e3 * first_s:.1f} ms, others in {1e3 * load_s:.1f} ms; all "
        f"searched for changes in {detected_s:.0f} s"
    )


def values_of_a_run(
    rng: np.random.Generator, scenarios: int, facts: Mapping[str, object]
) -> list[MeasuredValue]:
    figures = iter(100.0 * np.exp(rng.normal(0.0, 0.009, 10 * scenarios * 40)))
    return [
        value(
            float(next(figures)),
            allocator=f"allocator-{allocator}",
            scenario=f"scenario-{scenario}",
            metric=f"metric-{metric}",
            facts=facts,
        )
        for scenario in range(scenarios)
        for allocator in range(10)
        for metric in range(40)
    ]


@dataclass(frozen=True)
class Real:
    """A history of an allocator that is built and measured here. texts: its source by commit;
    metric: which one changes; measure: options of `run`.
    """

    texts: Sequence[str]
    metric: str
    measure: Sequence[str]


# A system call more in the last of three.
SMALL = Real(
    [FINE, FINE + "/* as fast */\n", SLOWER],
    "syscalls",
    ("-s", "phase-report?allocations=50", "-p", "syscalls"),
)
# From the 13th commit on malloc counts a tenth further, and its time an operation is 5% longer
# (1.04 to 1.06, the two in 9 rounds side by side).
WHOLE = Real(
    [working(100 if number < 12 else 110) + f"/* {number} */\n" for number in range(20)],
    "time",
    ("-s", "phase-report?allocations=2000", "-p", "throughput", "-r", "7"),
)


def test_a_real_history_of_an_allocator_has_its_slower_commit_confirmed(
    benchmark: BenchmarkFixture,
    needs: Callable[..., None],
    full: bool,
    say: Say,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each commit is measured in a run of its own. Where counts change, the objects that the runs
    compiled are gated; of times objects are built from the commits, all in folders alike.
    """
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    real = WHOLE if full else SMALL
    repository = made_repository(tmp_path / "repo")

    def call(*arguments: str) -> Result:
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code in (0, 3), done.output
        return done

    start = time.perf_counter()
    for number, text in enumerate(real.texts):
        repository.commit(f"Change {number}", {"mine.c": text})
        arm = f"mine={repository.folder / 'mine.c'}"
        ran = call("run", "-a", arm, *real.measure, "--label", str(number))
        (folder,) = re.findall(r"^run directory: (.+)$", ran.stderr, re.MULTILINE)
        call("history", "add", folder)
    say(f"{len(real.texts)} commits measured and added in {time.perf_counter() - start:.0f} s")

    series = f"{real.metric}:*:mine"
    recipe = ("--repo", str(repository.folder), "--object", "mine={source}/mine.c")
    gated = benchmark.pedantic(
        lambda: call("history", "confirm", series, *(recipe if full else ())),
        rounds=1,
        iterations=1,
    )
    say(gated.stdout.strip() or "no change was found")
    since = call(
        "history", "gate", "--since", repository.git("rev-list", "--max-parents=0", "main")
    )
    say(f"gate: exit code {since.exit_code}: {since.stdout.strip()}")
    if not full:
        assert "confirmed, worse" in gated.stdout
        assert f"{repository.git('rev-parse', 'HEAD')[:12]} Change 2, after" in gated.stdout
        assert since.exit_code == 3
