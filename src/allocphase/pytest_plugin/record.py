"""Hands natively measured durations to pytest-benchmark, bit for bit.

pytest-benchmark times a call as the difference of two readings of its timer. Ours is a virtual
clock: set to 0 before each round, and to the measured duration by the round itself. The
difference from 0 is exact, where a clock that ran on would round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from allocphase.errors import AllocphaseError

__all__ = ["Benchmark", "Rounds", "VirtualClock", "record"]


class VirtualClock:
    """A timer for pytest-benchmark; in seconds."""

    # pytest-benchmark saves a timer by its name, and the address in a repr would differ each time.
    __name__ = "allocphase_virtual_clock"

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def reset(self) -> None:
        """Before each round."""
        self.now_s = 0.0


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture. `stats` is None where it is disabled."""

    disabled: bool
    group: str | None
    extra_info: dict[str, Any]
    stats: Any

    def pedantic(
        self, target: Callable[[], None], *, setup: Callable[[], None], rounds: int, iterations: int
    ) -> None: ...


class Rounds(Protocol):
    """What is recorded: each round gives one duration in seconds."""

    rounds: int
    durations_s: list[float]

    def run_round(self) -> float: ...


def record(benchmark: Benchmark, clock: VirtualClock, measured: Rounds) -> None:
    """Runs the rounds as rounds of `benchmark`; raises what they raise.

    Raises AllocphaseError when pytest-benchmark has other figures than were measured.
    """

    def one_round() -> None:
        # --benchmark-cprofile calls once more, after all rounds: there is nothing left to run.
        if len(measured.durations_s) < measured.rounds:
            clock.now_s = measured.run_round()

    benchmark.pedantic(one_round, setup=clock.reset, rounds=measured.rounds, iterations=1)
    if benchmark.stats is not None and benchmark.stats.stats.data != measured.durations_s:
        raise AllocphaseError(
            "pytest-benchmark recorded other durations than were measured: is its timer replaced?"
        )
