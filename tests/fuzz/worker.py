"""One target in one process: `python -m tests.fuzz.worker TARGET FOLDER`, as __main__ starts it."""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.support.plugins import ROOT

__all__ = ["LOADER", "TARGET_NAMES", "compiler"]

LOADER = "trace-loader"
TARGET_NAMES = (
    *(LOADER, "traces", "objects", "words", "collections", "judgements"),
    *("deliveries", "runs", "resumptions", "documents", "events", "imports"),
)

# What one try may take: seconds of CPU time, and memory beyond what the target itself has.
TRY_SECONDS = 20
TRY_BYTES = 3 << 29
# One clear line.
MESSAGE_LENGTH = 2000
CLANG = "clang-14"
SANITIZERS = "-fsanitize=fuzzer,address,undefined"
# The longest input: some eighty operations in a few threads.
LOADER_BYTES = 2048


def main() -> int:
    """0 when nothing was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=TARGET_NAMES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    os.environ["ALLOCPHASE_LOCK"] = str(options.folder / "lock")  # no figure here is kept
    if options.target == LOADER:
        return _fuzz_loader(options.folder, options.seconds, options.seed)
    return _fuzz(options)


# ---- The driver's loader ---------------------------------------------------------------------


def compiler(program: Path) -> list[str]:
    """The command that builds the target."""
    flags = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g", SANITIZERS]
    sources = [ROOT / "tests" / "fuzz" / "trace_loader.c", ROOT / "driver" / "trace.c"]
    include = f"-I{ROOT / 'driver'}"
    recover = "-fno-sanitize-recover=all"
    return [CLANG, *flags, recover, include, *map(str, sources), "-o", str(program)]


def _fuzz_loader(folder: Path, seconds: int, seed: int) -> int:
    from tests.fuzz.seeds import traces

    program, corpus, first = folder / "loader", folder / "corpus", folder / "seeds"
    subprocess.run(compiler(program), check=True)
    for path in (corpus, first):
        path.mkdir()
    traces(first)
    options = {"max_total_time": seconds, "seed": seed + 1, "max_len": LOADER_BYTES}
    options |= {"timeout": TRY_SECONDS, "rss_limit_mb": 2048, "verbosity": 0}
    options |= {"print_final_stats": 1}
    command = [str(program), *(f"-{name}={value}" for name, value in options.items())]
    command += [f"-artifact_prefix={folder}/", str(corpus), str(first)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    for found in (path for path in folder.iterdir() if path.name.startswith(("crash", "leak"))):
        print(f"{LOADER}: {found.name}: {found.read_bytes().hex()}")
    if done.returncode:
        print(done.stderr[-5000:])
        return 1
    tries = next(line for line in done.stderr.splitlines() if "executed_units" in line)
    print(f"{LOADER}: {int(tries.split()[-1])} tries, nothing found")
    return 0


# ---- The loaders in Python -------------------------------------------------------------------


class TooSlowError(Exception):
    """A try took longer than any input of its length may."""


def _fuzz(options: argparse.Namespace) -> int:
    from allocphase.errors import AllocphaseError
    from tests.fuzz.targets import TARGETS

    warnings.simplefilter("ignore")  # numpy's, about numbers that a hostile file made up
    attempt = TARGETS[options.target](options.folder)
    _bound_memory()
    signal.signal(signal.SIGVTALRM, _too_slow)
    number, refused = options.only or 0, 0
    time_left = _clock()
    while options.only is not None or time_left(options.seconds):
        signal.setitimer(signal.ITIMER_VIRTUAL, TRY_SECONDS)
        try:
            attempt(random.Random(f"{options.seed}/{number}"))
        except AllocphaseError as error:
            refused += 1
            if options.only is not None:
                print(error)
            if "\n" in str(error) or len(str(error)) > MESSAGE_LENGTH:
                return _report(options, number)
        except Exception:
            return _report(options, number)
        if options.only is not None:
            break
        number += 1
    print(f"{options.target}: {number} tries, {refused} refused, nothing found")
    return 0 if refused or options.only is not None else 1


def _clock() -> Callable[[int], bool]:
    """Whether the seconds of CPU time are left; on a busy machine thrice as many by the wall."""
    wall, own = time.monotonic(), time.process_time()

    def time_left(seconds: int) -> bool:
        waited = time.monotonic() - wall
        return time.process_time() - own < seconds and waited < 3 * seconds

    return time_left


def _report(options: argparse.Namespace, number: int) -> int:
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    print(f"{options.target}: try again: python -m tests.fuzz {options.target}", end=" ")
    print(f"--seed {options.seed} --only {number}")
    print(_ends(traceback.format_exc()))
    return 1


def _ends(text: str, length: int = 4000) -> str:
    return text if len(text) <= 2 * length else f"{text[:length]}\n...\n{text[-length:]}"


def _bound_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + TRY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _too_slow(_signum: int, _frame: FrameType | None) -> None:
    raise TooSlowError(f"more than {TRY_SECONDS} seconds")


if __name__ == "__main__":
    sys.exit(main())
