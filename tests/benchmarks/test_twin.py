"""A/A: how far apart do an allocator and a copy of itself come out?"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

import allocphase
from allocphase import allocator
from tests.benchmarks.conftest import Say


def test_an_allocator_and_its_copy_come_out_alike(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    original = allocator.resolve("phase1")[0]
    copy = tmp_path / "copy.so"
    assert original.path is not None
    shutil.copy(original.path, copy)
    settings = "&".join(f"{key}={value}" for key, value in original.config.items())
    command = [sys.executable, "-m", "allocphase.cli", "run", "-a", "phase1"]
    command += ["-a", f"copy={copy}?{settings}", "-s", "random-churn", "-p", "throughput"]
    command += ["--rounds", "20" if full else "2", "--out", str(tmp_path)]
    benchmark.pedantic(
        lambda: subprocess.run(command, check=True, capture_output=True), rounds=1, iterations=1
    )
    frame = allocphase.load(next(tmp_path.glob("*-run"))).processes
    wide = frame.pivot_table(index="round", columns="allocator", values="time_per_op_ns")
    twin = next(name for name in wide.columns if name.startswith("copy"))
    ratios = wide[twin] / wide["phase1"]
    benchmark.extra_info["median_ratio"] = float(np.median(ratios))
    say(
        f"A/A, phase1 on random-churn, {len(ratios)} rounds: median paired ratio "
        f"{np.median(ratios):.4f}, all within {ratios.min():.3f} to {ratios.max():.3f}"
    )
    assert len(ratios) >= 2
