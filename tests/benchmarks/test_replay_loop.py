"""How close is the driver's replay loop to a loop written by hand?"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks.conftest import MakeTrace, Say

ROOT = Path(__file__).parents[2]
SOURCES = ("trace", "subject", "plugin", "base/system", "base/json", "base/clock", "base/channel")


def _build(target: Path) -> None:
    driver = ROOT / "driver"
    command = ["cc", "-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
    command += ["-fno-builtin-malloc", "-fno-builtin-free", f"-I{driver}", "-o", str(target)]
    command += [str(ROOT / "tests/benchmarks/c/handloop.c")]
    command += [str(driver / f"{name}.c") for name in SOURCES]
    subprocess.run([*command, "-ldl", "-lpthread"], check=True)


def test_the_replay_loop_costs_about_what_a_hand_written_loop_does(
    benchmark: BenchmarkFixture, full: bool, say: Say, trace_of: MakeTrace, tmp_path: Path
) -> None:
    _build(tmp_path / "handloop")
    command = [str(tmp_path / "handloop"), str(trace_of("random-churn")), "101" if full else "1"]

    def measure() -> dict[str, Any]:
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        figures: dict[str, Any] = json.loads(output)
        return figures

    figures = benchmark.pedantic(measure, rounds=1, iterations=1)
    benchmark.extra_info.update(figures)
    say(
        f"replay loop, libc on random-churn: {figures['driver_ns']:.2f} ns per op, by hand "
        f"{figures['hand_ns']:.2f} ns, median paired ratio {figures['ratio']:.3f}"
    )
    assert figures["driver_ns"] > 0
    assert figures["hand_ns"] > 0
