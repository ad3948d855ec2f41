"""Fixtures for all tests: what a test needs from outside, traces, test plug-ins, the driver."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from allocphase.allocator import Allocator, resolve
from tests.support.driving import Driver
from tests.support.plugins import Plugins
from tests.support.sharding import FileScheduling
from tests.support.sharing import Shared
from tests.support.thorough import LONG, THOROUGH

Needs = Callable[..., None]

# `make check`: a fifth of the examples that are drawn otherwise.
hypothesis.settings.register_profile("brief", max_examples=20)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FileScheduling:
    """Of `pytest -n 2` and the like."""
    return FileScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(THOROUGH):
            item.add_marker("thorough")
        if item.nodeid.startswith(LONG):
            item.add_marker("long")


def _needs(present: object, what: str, *, install: str) -> None:
    """Goes on when `present` is true. Otherwise skips, or fails where nothing may be skipped."""
    if present:
        return
    reason = f"needs {what}: {install}"
    if os.environ.get("ALLOCPHASE_STRICT") == "1":
        pytest.fail(f"{reason} (ALLOCPHASE_STRICT=1: this may not be skipped)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def signals_as_in_a_terminal() -> None:
    """Who starts the tests with nohup, or in the background of a script, has some ignored, and
    every process below inherits that.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            handler = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
            signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def own_machine_lock(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test's figure is kept, so none needs the machine, nor has to wait for who has it."""
    os.environ["ALLOCPHASE_LOCK"] = str(tmp_path_factory.mktemp("lock") / "lock")


@pytest.fixture(scope="session", autouse=True)
def nobodys_worker() -> None:
    """Who runs pytest inside of a test must not find that it is a process of pytest-xdist's."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """shared("plugins"): a folder that the session's parallel processes have in common."""
    base = tmp_path_factory.getbasetemp()
    return Shared(base.parent if hasattr(request.config, "workerinput") else base)


@pytest.fixture(scope="session")
def needs() -> Needs:
    """needs(shutil.which("strace"), "strace", install="apt-get install strace")."""
    return _needs


@pytest.fixture(scope="session")
def strace(needs: Needs) -> str:
    """The program strace."""
    path = shutil.which("strace")
    needs(path, "strace", install="apt-get install strace")
    return str(path)


@pytest.fixture(scope="session")
def installed(needs: Needs) -> Callable[[str], Allocator]:
    """installed("jemalloc"): an allocator of the collection, there to be measured."""

    def find(name: str) -> Allocator:
        found = resolve(name)[0]
        needs(found.missing is None, f"the allocator {name}", install=str(found.missing))
        return found

    return find


@pytest.fixture(scope="session")
def plugins(shared: Shared, needs: Needs) -> Plugins:
    """The objects of tests/c, each compiled once for the session."""
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    return Plugins(shared("plugins"))


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    """The driver of the installed package."""
    return Driver(tmp_path)
