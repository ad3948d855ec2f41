"""`make gate`: this tree's own allocators and driver against those of a git revision.

Both trees are built apart from any installation, and each arm runs under the driver of its own
tree, so that a change of either shows. Counts are exact; rows that noise leaves open do not fail.

    python -m tests.gate_revision --against main~1 --allocator phase21
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase import allocator, scenario
from allocphase.gate import Arms, GateRequest, run_gate
from allocphase.judge import CANDIDATE, GateVerdict, Limits
from allocphase.judge.limits import parse_limit
from allocphase.judge.render.console import print_verdict
from allocphase.process.driver import DriverExecutor, Executor, Job, Outcome
from allocphase.run.progress_bar import progress_line

ROOT = Path(__file__).resolve().parents[1]
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
    with tempfile.TemporaryDirectory(prefix="allocphase-gate-") as name:
        scratch = Path(name)
        revision = options.against or _merge_base()
        with _worktree(scratch / "tree", revision) as tree:
            old, new = (_build(at, scratch / label) for at, label in ((tree, "old"), (ROOT, "new")))
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
    return _git("merge-base", "HEAD", "main").strip()


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def _worktree(folder: Path, revision: str) -> Iterator[Path]:
    _git("worktree", "add", "--quiet", "--detach", str(folder), revision)
    try:
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _build(tree: Path, build: Path) -> Path:
    configure = ["cmake", "-S", str(tree), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release"]
    for command in (configure, ["cmake", "--build", str(build), "--parallel", "2"]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return build


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
