"""The pytest plug-in inside pytest, on real driver processes."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Callable
from typing import Any

import pytest

import allocphase
from allocphase.analysis.metrics import process_time_ns
from allocphase.machine.environment import environment
from tests.support.plugins import ROOT, Plugins

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.parametrize("name", ["phase2", "phase21"])
def test_cell(allocphase_cell, name, request):
    cell = allocphase_cell(name, "phase-report", rounds=3)
    assert cell.status == "ok"
    assert cell.syscalls == ({"mmap": 1000, "munmap": 1000} if name == "phase2" else {})
    (request.config.rootpath / f"{name}.path").write_text(str(cell.path))

def test_plain(benchmark):
    benchmark(int)
"""
COUNTS_ONLY = """
import allocphase

def test_cell(allocphase_cell, benchmark, request):
    cell = allocphase_cell("phase1", "phase-report", rounds=3, probes=["syscalls"])
    assert cell.syscalls_per_op == 0
    planned = allocphase.load(cell.path).manifest.plan.rounds
    words = f"{len(cell.durations_s)} of {planned}, {benchmark.stats}"
    (request.config.rootpath / "rounds").write_text(words)
"""
PROGRAMS = """
import sys
import pytest

COMMAND = f"{sys.executable} -S -c 'import os; print(os.environ[\\"WORD\\"], os.getcwd())'"

@pytest.mark.parametrize("name", ["libc", "phase3"])
def test_mine(allocphase_cell, name, tmp_path):
    cell = allocphase_cell(
        name, program=COMMAND, name="mine", env={"WORD": "hello"}, cwd=tmp_path, rounds=2
    )
    assert (cell.scenario, cell.status) == ("mine", "ok")
    assert cell.wall_time_ns > 0 and cell.program_peak_rss_bytes > 1 << 20
    assert cell.durations_s[0] > 1e-4

def test_of_the_collection(allocphase_cell):
    cell = allocphase_cell("libc", "program-bash-subshells", rounds=1, probes=["program"])
    assert cell.metrics["output_sha256"]
"""
Pytester = pytest.Pytester


def _run(pytester: Pytester, *arguments: str) -> pytest.RunResult:
    """Without hypothesis's plug-in, whose import takes as long as all else."""
    without = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    return pytester.runpytest_subprocess(*without, *arguments)


def _saved(pytester: Pytester) -> dict[str, Any]:
    (path,) = pytester.path.glob(".benchmarks/*/*.json")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Pytester], dict[str, Any]]:
    """Saves TESTS once, with --benchmark-autosave; gives each test a copy and the document."""
    keep = tmp_path_factory.mktemp("saved")

    def give(pytester: Pytester) -> dict[str, Any]:
        pytester.makepyfile(test_cells=TESTS)
        if not (keep / "done").exists():
            base = keep / "runs"
            result = _run(
                pytester, "--benchmark-autosave", "--benchmark-save-data", f"--basetemp={base}"
            )
            result.assert_outcomes(passed=3)
            shutil.copytree(pytester.path, keep / "done")
        shutil.copytree(keep / "done", pytester.path, dirs_exist_ok=True)
        return _saved(pytester)

    return give


Saved = Callable[[Pytester], dict[str, Any]]


def _change(pytester: Pytester, change: Callable[[dict[str, Any]], None]) -> None:
    (path,) = pytester.path.glob(".benchmarks/*/*.json")
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def _one_cell(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(b for b in document["benchmarks"] if b["param"] == name)
    return found


# ---- What is recorded --------------------------------------------------------------------


def test_the_journals_durations_are_saved_bit_for_bit(pytester: Pytester, saved: Saved) -> None:
    document = saved(pytester)
    for name in ("phase2", "phase21"):
        run = allocphase.load((pytester.path / f"{name}.path").read_text())
        records = [r for r in run.records_of(name, "phase-report") if r.probe == "throughput"]
        bench = _one_cell(document, name)
        assert len(records) == 3
        assert bench["stats"]["data"] == [process_time_ns(record) / 1e9 for record in records]
        assert bench["options"]["timer"] == "allocphase_virtual_clock"


def test_counts_tails_and_memory_are_in_the_extra_info(pytester: Pytester, saved: Saved) -> None:
    bench = _one_cell(saved(pytester), "phase2")
    info = bench["extra_info"]
    assert bench["group"] == "phase-report"
    assert info["syscalls"]["operation"] == {"mmap": 1000, "munmap": 1000}
    assert (
        info["latency_ns"]["malloc"]["samples"] == 3 * 1000 * 50
    )  # processes, mallocs, warm replays
    assert info["latency_ns"]["malloc"]["max"] >= info["latency_ns"]["malloc"]["p99"] > 0
    assert info["peak_rss_bytes"] > info["peak_live_bytes"] > 0
    assert info["allocator_config"]["objects_per_slab"] == "1"


def test_a_program_is_a_cell_and_its_wall_time_what_is_recorded(pytester: Pytester) -> None:
    pytester.makepyfile(test_programs=PROGRAMS)
    result = _run(pytester, "--benchmark-autosave", "--benchmark-save-data")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*benchmark 'mine': 2 tests*"])
    bench = _one_cell(_saved(pytester), "phase3")
    assert len(bench["stats"]["data"]) == 2
    assert bench["stats"]["median"] * 1e9 == pytest.approx(bench["extra_info"]["wall_time_ns"])
    assert bench["extra_info"]["program_page_faults"] > 0


def test_a_program_that_fails_fails_its_test_with_what_it_said(pytester: Pytester) -> None:
    pytester.makepyfile(
        "def test_it(allocphase_cell):\n"
        "    allocphase_cell('libc', program=\"sh -c 'echo no such file >&2; exit 2'\")"
    )
    result = _run(pytester, "--benchmark-disable")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["allocphase: libc on sh: crashed: program*: ended with exit code 2, not 0. no such file"]
    )


def test_the_machine_info_has_the_fingerprint(pytester: Pytester, saved: Saved) -> None:
    fingerprint = saved(pytester)["machine_info"]["allocphase"]
    facts = environment()
    for fact in ("cpu", "kernel", "libc", "transparent_huge_pages"):
        assert fingerprint[fact] == facts[fact]


# ---- Comparing ---------------------------------------------------------------------------


def test_cells_are_compared_with_a_baseline_of_this_machine(
    pytester: Pytester, saved: Saved
) -> None:
    saved(pytester)
    result = _run(pytester, "--benchmark-compare", "-k", "phase21")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*benchmark 'phase-report': 2 tests*"])
    result.stdout.fnmatch_lines_random(["test_cell*phase21*(NOW)*", "test_cell*phase21*(0001_*"])


def _another_kernel(document: dict[str, Any]) -> None:
    document["machine_info"]["allocphase"]["kernel"] = "2.4.0-other"


def test_a_baseline_of_another_machine_ends_the_session_and_names_the_way_out(
    pytester: Pytester, saved: Saved
) -> None:
    saved(pytester)
    _change(pytester, _another_kernel)
    result = _run(pytester, "--benchmark-compare")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: the baseline of *kernel: 2.4.0-other then*"])
    result.stderr.fnmatch_lines(["*--allocphase-allow-machine-mismatch*"])
    assert "Traceback" not in result.stderr.str()


def test_a_baseline_of_another_machine_is_compared_when_that_is_allowed(
    pytester: Pytester, saved: Saved
) -> None:
    saved(pytester)
    _change(pytester, _another_kernel)
    allow = "--allocphase-allow-machine-mismatch"
    result = _run(pytester, "--benchmark-compare", allow, "-k", "phase21")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*benchmark 'phase-report': 2 tests*"])


def test_a_disabled_session_compares_nothing_and_refuses_nothing(
    pytester: Pytester, saved: Saved
) -> None:
    saved(pytester)
    _change(pytester, _another_kernel)
    result = _run(pytester, "--benchmark-compare", "--benchmark-disable", "-k", "plain")
    result.assert_outcomes(passed=1, deselected=2)


def test_a_baseline_without_cells_is_none_of_our_business(pytester: Pytester, saved: Saved) -> None:
    def only_plain(document: dict[str, Any]) -> None:
        _another_kernel(document)
        document["benchmarks"] = [b for b in document["benchmarks"] if b["name"] == "test_plain"]

    saved(pytester)
    _change(pytester, only_plain)
    _run(pytester, "--benchmark-compare", "-k", "plain").assert_outcomes(passed=1, deselected=2)


def test_a_scenario_that_changed_since_the_baseline_fails_its_test(
    pytester: Pytester, saved: Saved
) -> None:
    def another_trace(document: dict[str, Any]) -> None:
        _one_cell(document, "phase21")["extra_info"]["scenario_digest"] = "0" * 64

    saved(pytester)
    _change(pytester, another_trace)
    result = _run(pytester, "--benchmark-compare", "-k", "phase21")
    result.assert_outcomes(failed=1, deselected=2)
    result.stdout.fnmatch_lines(["*the scenario has changed since the baseline*"])


def test_the_histogram_is_drawn_from_cells(pytester: Pytester, needs: Callable[..., None]) -> None:
    present = importlib.util.find_spec("pygal")
    needs(present, "pygal", install="pip install 'pytest-benchmark[histogram]'")
    pytester.makepyfile(test_cells=COUNTS_ONLY)
    _run(pytester, "--benchmark-histogram=cells").assert_outcomes(passed=1)
    assert "3 rounds" in (pytester.path / "cells-phase-report.svg").read_text()


# ---- Where nothing is recorded -----------------------------------------------------------


def test_a_disabled_benchmark_runs_one_round_and_returns_the_cell(pytester: Pytester) -> None:
    pytester.makepyfile(test_cells=COUNTS_ONLY)
    _run(pytester, "--benchmark-disable").assert_outcomes(passed=1)
    assert (pytester.path / "rounds").read_text() == "1 of 1, None"


@pytest.mark.parametrize(
    "conftest",
    [
        "def pytest_addoption(parser): parser.addoption('--dist', default='load')",
        "def pytest_configure(config): config.workerinput = {}",
    ],
    ids=["controller", "worker"],
)
def test_a_process_of_xdist_runs_one_round_and_returns_the_cell(
    conftest: str, pytester: Pytester
) -> None:
    pytester.makepyfile(test_cells=COUNTS_ONLY)
    pytester.makeconftest(conftest)
    _run(pytester, "-p", "no:xdist").assert_outcomes(passed=1)
    assert (pytester.path / "rounds").read_text().startswith("1 of 1, ")


def test_a_cell_counts_as_a_benchmark_when_only_those_are_run(pytester: Pytester) -> None:
    pytester.makepyfile(
        """
        def test_cell(allocphase_cell):
            allocphase_cell("phase1", "phase-report", rounds=1, probes=[])

        def test_other():
            pass
        """
    )
    _run(pytester, "--benchmark-only").assert_outcomes(passed=1, skipped=1)
    _run(pytester, "--benchmark-skip").assert_outcomes(passed=1, skipped=1)


def test_the_markers_options_of_the_test_are_kept(pytester: Pytester) -> None:
    mark = "import pytest\n\n@pytest.mark.benchmark(group='mine', timer=int)\ndef test_cell"
    pytester.makepyfile(test_cells=COUNTS_ONLY.replace("def test_cell", mark))
    result = _run(pytester)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*benchmark 'mine': 1 tests*"])


def test_without_pytest_benchmark_the_fixture_names_the_extra(pytester: Pytester) -> None:
    cells = "def test_cell(allocphase_cell): pass"
    pytester.makepyfile(test_cells=cells, test_other="def test_other(): pass")
    result = _run(pytester, "-p", "no:benchmark")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*needs pytest-benchmark*pip install 'allocphase?pytest?'*"])


def test_a_session_without_cells_imports_nothing_heavy(pytester: Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_modules(benchmark):
            benchmark(int)
            heavy = {"numpy", "pandas", "scipy", "click", "matplotlib", "allocphase.run.session"}
            assert "allocphase.pytest_plugin" in sys.modules
            assert not heavy & sys.modules.keys()
        """
    )
    _run(pytester, "--benchmark-json=it.json").assert_outcomes(passed=1)


# ---- What goes wrong ---------------------------------------------------------------------


def test_a_cell_that_crashes_fails_its_test_with_the_message(
    pytester: Pytester, plugins: Plugins
) -> None:
    crashing = f"crashing={plugins('ends')}?way=segv&in=malloc"
    pytester.makepyfile(
        f"def test_it(allocphase_cell): allocphase_cell({crashing!r}, 'phase-report')"
    )
    result = _run(pytester, "--benchmark-json=it.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["allocphase: crashing?* on phase-report: crashed: *SIGSEGV*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert json.loads((pytester.path / "it.json").read_text())["benchmarks"] == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("allocphase_cell('phase11', 'phase-report')", "*did you mean 'phase1'*"),
        (
            "[allocphase_cell(a, 'phase-report', probes=[]) for a in ('phase1', 'phase21')]",
            "*one cell a test: parametrize*",
        ),
    ],
)
def test_what_is_no_cell_fails_its_test_with_advice(
    call: str, message: str, pytester: Pytester
) -> None:
    pytester.makepyfile(f"def test_it(allocphase_cell): {call}")
    result = _run(pytester, "--benchmark-disable")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([message])


def test_a_cell_that_is_asked_for_too_late_says_so(pytester: Pytester) -> None:
    pytester.makepyfile(
        "def test_it(request): request.getfixturevalue('allocphase_cell')('phase1', 'phase-report')"
    )
    result = _run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*must be an argument of the test*"])


def test_the_example_of_the_documentation_passes(pytester: Pytester) -> None:
    text = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    pytester.makepyfile(test_example=example)
    _run(pytester, "--benchmark-disable").assert_outcomes(passed=2)
