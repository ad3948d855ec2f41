"""What the benchmarks share: a trace on disk, and a line of figures on the terminal.

Under `make test` each runs once, small, as a test that it works; under `make benchmark` it runs
in full. None of them asserts a time: figures are for reading, as ratios measured side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase import scenario, trace

Say = Callable[[str], None]
MakeTrace = Callable[[str], Path]


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether figures are wanted, and not only a sign of life."""
    option = request.config.getoption
    return bool(option("benchmark_enable") or not option("benchmark_disable"))


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Say:
    """Prints one line of figures past pytest's capture."""

    def line(text: str) -> None:
        with capfd.disabled():
            print(f"\n  {text}")

    return line


@pytest.fixture
def trace_of(tmp_path: Path) -> MakeTrace:
    """The trace of a scenario of the collection, written to a file."""

    def make(spec: str) -> Path:
        path = tmp_path / "bench.trace"
        trace.write(scenario.generate(scenario.resolve(spec)[0]), path)
        return path

    return make
