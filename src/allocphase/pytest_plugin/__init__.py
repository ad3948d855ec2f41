"""The pytest plug-in: the fixture `allocphase_cell`, which runs a cell inside pytest-benchmark.

Every pytest run on a machine that has allocphase loads this module, used or not: so it imports
nothing heavy, and each hook leaves alone what is not allocphase's.

    hooks (here)  ──►  fixture  ──►  measurement  ──►  the runner, as `allocphase run` uses it
                       record         cell
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest

from allocphase.errors import AllocphaseError

__all__: list[str] = []

FIXTURE = "allocphase_cell"
ALLOW_MISMATCH = "--allocphase-allow-machine-mismatch"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The way around the refusal to compare across machines."""
    parser.getgroup("benchmark").addoption(
        ALLOW_MISMATCH,
        action="store_true",
        help="Compare allocphase cells with a baseline of another machine or driver, as a hint.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Offers the fixture, or where pytest-benchmark is not active the one that says so."""
    if _has_benchmark(config):
        from allocphase.pytest_plugin import fixture

        config.pluginmanager.register(fixture, "allocphase-fixture")
    else:
        from allocphase.pytest_plugin import absent

        config.pluginmanager.register(absent, "allocphase-absent")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Gives the test a clock of its own: pytest-benchmark reads it from the marker."""
    if FIXTURE not in getattr(item, "fixturenames", ()) or not _has_benchmark(item.config):
        return
    from allocphase.pytest_plugin.fixture import CLOCK
    from allocphase.pytest_plugin.record import VirtualClock

    clock = item.stash[CLOCK] = VirtualClock()
    marker = item.get_closest_marker("benchmark")
    args, options = (marker.args, marker.kwargs) if marker else ((), {})
    item.add_marker(pytest.mark.benchmark(*args, **{**options, "timer": clock}), append=False)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Adds our fingerprint; only what stays the same from run to run, since it is compared."""
    from allocphase.pytest_plugin.baseline import MACHINE_KEY, fingerprint

    # A broken installation fails the tests that measure cells, not everyone's session.
    with contextlib.suppress(AllocphaseError):
        machine_info[MACHINE_KEY] = fingerprint()


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_compare_machine_info(
    config: pytest.Config,
    benchmarksession: Any,
    machine_info: Mapping[str, Any],
    compared_benchmark: Mapping[str, Any],
) -> None:
    """Ends the session when cells would be compared with those of another machine or driver."""
    from allocphase.pytest_plugin import baseline

    digests = baseline.scenario_digests(compared_benchmark)
    if benchmarksession.disabled or not digests:
        return
    config.stash.setdefault(baseline.DIGESTS, []).append(digests)
    refusal = baseline.refusal(machine_info, compared_benchmark, way_out=ALLOW_MISMATCH)
    if refusal and not config.getoption(ALLOW_MISMATCH):
        raise pytest.UsageError(refusal)


def _has_benchmark(config: pytest.Config) -> bool:
    """By its option, which is there however the plug-in was loaded."""
    return hasattr(config.option, "benchmark_disable")
