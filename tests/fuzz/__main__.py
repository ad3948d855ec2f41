"""`python -m tests.fuzz`: fuzzes every parser of files from elsewhere, two at a time.

    python -m tests.fuzz --seconds 600            what `make fuzz` does
    python -m tests.fuzz runs --seed 7 --only 315 one try again, as a failure names it

Each target is a process of its own with a bound on its memory; its seconds are of CPU time, or
thrice as many by the wall on a busy machine. Failures go to stdout.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.worker import TARGET_NAMES
from tests.support.plugins import ROOT

AT_ONCE = 2


def main() -> int:
    """0 when nothing was found."""
    options = _options()
    if options.folder is not None:
        return _run_all(options.folder, options)
    with tempfile.TemporaryDirectory(prefix="allocphase-fuzz-") as scratch:
        return _run_all(Path(scratch), options)


def _run_all(folder: Path, options: argparse.Namespace) -> int:
    names = options.targets or TARGET_NAMES
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return max(pool.map(lambda name: _run(name, folder, options), names))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGET_NAMES))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this one try, in the open")
    parser.add_argument("--folder", type=Path, help="keeps all files there, and TARGET.log")
    options = parser.parse_args()
    for name in options.targets:
        if name not in TARGET_NAMES:
            parser.error(f"no target {name!r}: there are {', '.join(TARGET_NAMES)}")
    return options


def _run(name: str, folder: Path, options: argparse.Namespace) -> int:
    own = folder / name
    own.mkdir()
    command = [sys.executable, "-m", "tests.fuzz.worker", name, str(own)]
    command += ["--seconds", str(options.seconds), "--seed", str(options.seed)]
    if options.only is not None:
        command += ["--only", str(options.only)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode(errors="replace")
    (folder / f"{name}.log").write_text(text, encoding="utf-8")
    print(text, end="", flush=True)
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
