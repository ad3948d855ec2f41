"""`allocphase claims` on real runs: the promises that docs/claims.md teaches, and exact counts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from allocphase import allocator, scenario
from allocphase.analysis import frames
from allocphase.claim import ClaimsFile, Section, judge, load, requirements
from allocphase.probe.probe import Probe
from allocphase.process.driver import DriverExecutor
from allocphase.run.request import Request
from allocphase.run.session import run
from tests.support.plugins import ROOT

TIMED = ("absolute", "growth", "ratio", "share")


@dataclass(frozen=True, slots=True)
class Command:
    """`allocphase claims`, as a user starts it, in a folder of its own."""

    folder: Path

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "allocphase.cli", "claims", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)

    def verdicts(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit code, and the claims of `--json -` by id."""
        done = self(*arguments, "--json", "-")
        claims = json.loads(done.stdout)["claims"]
        return done.returncode, {claim["id"]: claim for claim in claims}


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def promise(relation: str, *, allocator_name: str = "phase21") -> str:
    return f"""
title = "T"
source = "S"
[[claim]]
id = "calls"
text = "t"
source = "s"
check = {{ form = "count", allocator = "{allocator_name}", scenario = "phase-report", \
metric = "syscalls.operation", {relation} }}
"""


def test_the_promises_of_the_document_are_measured_and_judged(command: Command) -> None:
    text = (ROOT / "docs" / "claims.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    (command.folder / "promises.toml").write_text(example)
    code, claims = command.verdicts("promises.toml")
    verdicts = {name: claim["verdict"] for name, claim in claims.items()}
    assert verdicts["quiet"] == verdicts["lean"] == "reproduced"
    # The machine decides on the timing; the exit code has to agree with it.
    codes = {"reproduced": 0, "contradicted": 3, "inconclusive": 4, "not measured": 5}
    assert code == codes[verdicts["steady"]]
    (steady,) = claims["steady"]["checks"]
    # A slow clock leaves no figure, and then says why.
    assert steady["value"] or "the median is the clock's" in steady["measured"]


def test_a_broken_promise_ends_with_3_and_stays_in_the_run_directory(command: Command) -> None:
    (command.folder / "promises.toml").write_text(promise("at_least = 1"))
    code, claims = command.verdicts("promises.toml", "--rounds", "1")
    assert (code, claims["calls"]["verdict"]) == (3, "contradicted")
    (kept,) = (command.folder / "out").glob("*-claims/claims.json")
    assert json.loads(kept.read_text())["claims"] == list(claims.values())


def test_an_old_run_is_judged_again_without_measuring(command: Command) -> None:
    (command.folder / "kept.toml").write_text(promise("equals = 0"))
    (command.folder / "absent.toml").write_text(promise("equals = 0", allocator_name="phase1"))
    assert command("kept.toml", "--rounds", "1").returncode == 0
    (directory,) = (command.folder / "out").iterdir()
    before = sorted(path.name for path in directory.iterdir())
    done = command("kept.toml", "--run", str(directory), "--export-markdown", "claims.md")
    assert (done.returncode, done.stderr) == (0, "")
    assert "reproduced" in done.stdout
    assert "| **reproduced** |" in (command.folder / "claims.md").read_text()
    assert sorted(path.name for path in directory.iterdir()) == before
    done = command("absent.toml", "--run", str(directory))
    assert done.returncode == 5
    assert "not measured" in done.stdout


def test_figures_of_the_source_alone_need_no_run(command: Command) -> None:
    text = promise("equals = 0").split("check =")[0]
    text += "published = { a_ns = 2.0, b_ns = 1.0, c_ratio = 3.0 }\n"
    text += 'check = { form = "arithmetic", operation = "ratio", of = ["a_ns", "b_ns"], '
    text += 'equals = "c_ratio", tolerance = 0.1 }\n'
    (command.folder / "sums.toml").write_text(text)
    done = command("sums.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "inconsistent" in done.stdout
    assert not (command.folder / "out").exists()


def test_a_wrong_file_is_one_line_and_ends_with_2(command: Command) -> None:
    (command.folder / "promises.toml").write_text(promise("equals = 0").replace("metric", "metrc"))
    done = command("promises.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "claim calls, check: key 'metrc' does not exist: did you mean 'metric'?" in done.stderr


PROGRAMS = """
title = "T"
source = "S"
[[claim]]
id = "lean"
text = "t"
source = "s"
check = { form = "count", allocator = "libc", scenario = "mine", metric = "program_peak_rss", \
at_least = 33554432 }
[[claim]]
id = "quick"
text = "t"
source = "s"
check = { form = "ratio", allocator = "phase3", scenario = "mine", metric = "wall_time_ns", \
to = { allocator = "libc" }, at_most = 1000 }
[[claim]]
id = "shipped"
text = "t"
source = "s"
check = { form = "count", allocator = "libc", scenario = "program-bash-subshells", \
metric = "program_page_faults", at_least = 100 }
[[claim]]
id = "of a trace"
text = "t"
source = "s"
check = { form = "count", allocator = "libc", scenario = "mine", metric = "page_faults", \
at_least = 1 }
"""


def test_a_program_of_the_command_line_and_one_of_the_collection_can_be_claimed_of(
    command: Command,
) -> None:
    (command.folder / "promises.toml").write_text(PROGRAMS)
    (command.folder / "work").mkdir()
    (command.folder / "word").write_text("hello")
    code = 'import os, sys; b = bytearray(32 << 20); assert os.environ["A"] == sys.stdin.read()'
    program = ["--program", f"{sys.executable} -S -c '{code}'", "--name", "mine"]
    program += ["--env", "A=hello", "--cwd", "work", "--stdin", "word"]
    exit_code, claims = command.verdicts("promises.toml", *program)
    verdicts = {name: claim["verdict"] for name, claim in claims.items()}
    assert verdicts == {
        "lean": "reproduced",
        "quick": "reproduced",
        "shipped": "reproduced",
        "of a trace": "not measured",
    }
    assert exit_code == 5, "a figure that this very command was to measure is not there"
    (check,) = claims["of a trace"]["checks"]
    assert check["measured"] == (
        "mine is a program, and what the memory probe measures is of traces"
    )


def test_a_program_that_is_not_installed_is_not_measured_and_named(command: Command) -> None:
    (command.folder / "absent.toml").write_text(
        'title = "t"\nstands_for = "s"\nsource = "o"\ndoes_not_show = "d"\nseed = 1\n'
        '[program]\ncommand = ["nowhere-at-all"]\nneeds = ["nowhere-at-all"]\n'
    )
    calls = promise("equals = 0", allocator_name="phase1")
    absent = calls[calls.index("[[claim]]") :].replace('"calls"', '"absent"')
    absent = absent.replace("phase-report", "absent.toml").replace("syscalls.operation", "wall")
    absent = absent.replace('"count"', '"absolute"').replace("equals = 0", 'published = "a_ns"')
    absent = absent.replace("check =", "published = { a_ns = 1.0 }\ncheck =")
    (command.folder / "promises.toml").write_text(calls + absent)
    done = command("promises.toml", "--rounds", "1", "--json", "claims.json")
    assert done.returncode == 5, done.stderr
    assert "absent: not installed: nowhere-at-all" in done.stderr
    claims = json.loads((command.folder / "claims.json").read_text())["claims"]
    kept, missing = (claim["checks"][0] for claim in claims)
    assert kept["verdict"] == "reproduced"
    assert missing["measured"] == "the run has no program probe of phase1 on absent"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--program", "true"), "no claim is about 'true', they are about phase-report: --name"),
        (("--program", "true", "--run", "."), "--program is for measuring, and --run measures"),
        (("--name", "x"), "--name is for a program, and there is none: add --program"),
    ],
)
def test_a_program_that_no_claim_is_about_is_refused(
    command: Command, arguments: tuple[str, ...], message: str
) -> None:
    (command.folder / "promises.toml").write_text(promise("equals = 0"))
    done = command("promises.toml", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Section:
    """The phase report's checks that need no timing, on our allocators."""
    file = untimed(load("phase-report"))
    needed = requirements(file)
    scenarios = found(scenario.resolve, needed.scenarios)
    request = Request(
        allocators=found(allocator.resolve, needed.allocators),
        scenarios=scenarios,
        probes=[Probe.SYSCALLS, Probe.MEMORY],
        only=needed.cells_of([one.name for one in scenarios]),
        rounds=1,
        seed=1,
        out=tmp_path_factory.mktemp("claims"),
        label="counts",
        command=[],
    )
    folder = run(request, DriverExecutor(), progress=lambda *_: None)
    return judge(file, frames.load(folder))


def found(resolve: Any, specs: Sequence[str]) -> list[Any]:
    return [one for spec in specs for one in resolve(spec)]


def untimed(file: ClaimsFile) -> ClaimsFile:
    kept = [
        replace(claim, parts=tuple(part for part in claim.parts if part.check.form not in TIMED))
        for claim in file.claims
    ]
    return replace(file, claims=tuple(claim for claim in kept if claim.parts), thesis=None)


def test_the_phase_report_s_counts_are_decided_exactly(counted: Section) -> None:
    verdicts = {claim.id: claim.verdict.value for claim in counted.claims}
    counted_ones = ["C6", "C7", "C8", "C11", "C12", "C13", "C16", "C20", "C22"]
    expected = dict.fromkeys(counted_ones, "reproduced")
    expected |= dict.fromkeys(["C1", "C2", "C4", "C17"], "consistent")
    # Of these, timings decide; what is left without them is arithmetic and a note.
    expected |= {"C21": "consistent"}
    expected |= dict.fromkeys(["C3", "C5", "C18", "C19"], "inconsistent")
    assert verdicts == expected


def test_a_thousand_allocations_save_a_thousand_calls_and_their_frees_as_many(
    counted: Section,
) -> None:
    findings = next(claim.checks for claim in counted.claims if claim.id == "C7")
    assert [finding.measured for finding in findings] == [
        "1,000 - 0 = 1,000",
        "2,000 - 0 = 2,000",
        "1,000 - 0 = 1,000",
    ]
    assert [finding.verdict for finding in findings] == ["reproduced", "reproduced", "noted"]


def test_where_the_pool_ends_is_noted_and_refutes_nothing(counted: Section) -> None:
    note = next(claim for claim in counted.claims if claim.id == "C12").checks[-1]
    assert (note.verdict, note.value) == ("noted", 9568.0)


def test_fewer_rounds_keep_no_promise(command: Command) -> None:
    absurd = """
title = "T"
source = "S"
[[claim]]
id = "fast"
text = "t"
source = "s"
check = { form = "ratio", allocator = "phase21", scenario = "phase-report", \
metric = "build_time", to = { allocator = "phase1" }, at_most = 0.001 }
"""
    (command.folder / "absurd.toml").write_text(absurd)
    code, claims = command.verdicts("absurd.toml", "--rounds", "4")
    assert (code, claims["fast"]["verdict"]) == (4, "inconclusive")
    (directory,) = (command.folder / "out").iterdir()
    again = ("absurd.toml", "--run", str(directory))
    assert command(*again).returncode == 4
    assert command(*again, "--inconclusive", "pass").returncode == 0


def test_a_parameter_is_found_however_its_number_is_written(command: Command) -> None:
    """The run calls it base_hz=3.0: what is needed of it is run, and found again."""
    text = promise("at_least = 0").replace("phase-report", "ariax?base_hz=3")
    (command.folder / "promises.toml").write_text(text)
    code, claims = command.verdicts("promises.toml", "--rounds", "1")
    assert (code, claims["calls"]["verdict"]) == (0, "reproduced")
