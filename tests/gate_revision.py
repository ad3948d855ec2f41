"""`make gate`: this tree's own allocators and driver against those of a git revision.

Both trees are built apart from any installation, and each arm runs under the driver of its own
tree, so that a change of either shows. Counts are exact; rows that noise leaves open do not fail.

    python -m tests.gate_revision --against main~1 --allocator phase21
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase import allocator, scenario
from allocphase.gate import Arms, GateRequest, run_gate
from allocphase.gate.builds import build_revision
from allocphase.gate.repository import Repository
from allocphase.judge import CANDIDATE, GateVerdict, Limits
from allocphase.judge.limits import parse_limit
from allocphase.judge.render.console import print_verdict
from allocphase.process.driver import DriverExecutor, Executor, Job, Outcome
from allocphase.run.progress_bar import progress_line

ROOT = Path(__file__).resolve().parents[1]
BUILD = (
    "cmake -S {source} -B {build} -DCMAKE_BUILD_TYPE=Release && cmake --build {build} --parallel 2"
)
SCENARIOS = ("phase-report", "phase-report-churn", "random-churn")


@dataclass(frozen=True, slots=True)
class TwoTrees:
    """Runs the candidate under its own tree's driver and all other arms under the old one's."""

    old: Executor
    new: Executor

    def run(self, job: Job) -> Outcome:
        """See Executor."""
        chosen = self.new if job.allocator.name == CANDIDATE else self.old
        return chosen.run(job)


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds both trees and gates each allocator; the highest exit code of all."""
    options = _options(arguments)
    repository = Repository.at(ROOT)
    against = repository.commit(options.against or _merge_base())
    with tempfile.TemporaryDirectory(prefix="allocphase-gate-") as name:
        old, new = Path(name, "old"), Path(name, "new")  # of one length: a path moves the stack
        old.symlink_to(build_revision(repository, against, BUILD, say=_say).build)
        _build_here(new)
        return max(_gate_all(options, old, new), default=5)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--against", metavar="REVISION", help="default: where main was left")
    parser.add_argument("--allocator", action="append", metavar="NAME", help="default: all of ours")
    parser.add_argument("--scenario", action="append", metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--limit", action="append", default=[], metavar="LIMIT", help="as in gate")
    parser.add_argument("--out", type=Path, default=ROOT / "out")
    return parser.parse_args(arguments)


def _merge_base() -> str:
    command = ["git", "-C", str(ROOT), "merge-base", "HEAD", "main"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _build_here(build: Path) -> None:
    """The tree as it is, changes that are not committed and all."""
    command = BUILD.format(source=shlex.quote(str(ROOT)), build=shlex.quote(str(build)))
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def _gate_all(options: argparse.Namespace, old: Path, new: Path) -> Iterator[int]:
    executor = TwoTrees(*(DriverExecutor(driver=at / "allocphase-driver") for at in (old, new)))
    for name in options.allocator or _ours(new):
        if not (old / f"{name}.so").exists():
            print(f"{name}: new in this tree: nothing to hold it against", file=sys.stderr)
            continue
        verdict = _gate(options, name, (old, new), executor)
        print(f"\n{name}: this tree against {options.against or 'where main was left'}")
        print_verdict(verdict)
        yield verdict.exit_code


def _ours(build: Path) -> list[str]:
    known = allocator.collected()
    built = sorted(path.stem for path in build.glob("*.so"))
    return [name for name in built if name in known and known[name].correct]


def _gate(
    options: argparse.Namespace, name: str, builds: tuple[Path, Path], executor: Executor
) -> GateVerdict:
    known = allocator.resolve(name)[0]
    old, new = (replace(known, path=build / f"{name}.so") for build in builds)
    request = GateRequest(
        arms=Arms(old, new),
        scenarios=[s for spec in options.scenario or SCENARIOS for s in scenario.resolve(spec)],
        limits=Limits(lines=tuple(parse_limit(line) for line in options.limit)),
        out=options.out,
        label=f"revision-{name}",
        command=sys.argv,
        fail_inconclusive=False,
    )
    with progress_line(sys.stderr) as progress:
        return run_gate(request, executor, progress=progress)


if __name__ == "__main__":
    sys.exit(main())
