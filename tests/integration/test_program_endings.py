"""How programs end, through `allocphase run`: each class as a program of the command line and as a
scenario, under libc, a preloaded malloc and one of ours, and nothing is left running.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import VARIABLE, nothing_left

ALLOCATORS = ("libc", "jemalloc", "phase3")
AD_HOC, SCENARIO = "on-the-line", "of-a-file"
SHORT_S, LONG_S = 2.0, 60.0
PYTHON = sys.executable
CRASHED, TIMEOUT, OK = "crashed", "timeout", "ok"


def python(code: str) -> tuple[str, ...]:
    return (PYTHON, "-S", "-c", code)


def shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A command, and what is to become of it. words: in the message; doubt: in the warnings.

    of_a_file: what becomes of it as a scenario, where that is something else: it has a folder and
    a digest of its own. of_another: likewise under another allocator than libc.
    """

    command: tuple[str, ...] = ()
    status: str
    words: str = ""
    doubt: str = ""
    digest: str = ""
    of_a_file: Ending | None = None
    of_another: Ending | None = None


STILL = f"still running after {SHORT_S:g} s"
# Out of its group and session, and twice away from its parent.
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for stream in range(3):
            os.close(stream)
        time.sleep(600)
    os._exit(0)
os.wait()
"""
EXECS_ITSELF = 'exec sh -c "$0" "$0"'
CROWD = """
import os, time
children = []
for _ in range(200):
    child = os.fork()
    if child == 0:
        time.sleep(1)
        os._exit(0)
    children.append(child)
assert {os.waitpid(child, 0)[1] for child in children} == {0}
"""
CRASHING_CHILD = """
import os, signal
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGSEGV)
assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGSEGV
"""
ENDINGS = {
    "exits": Ending(
        command=shell("echo bad >&2; exit 3"),
        status=CRASHED,
        words="ended with exit code 3, not 0. bad",
    ),
    "crashes": Ending(
        command=python("import os; os.kill(os.getpid(), 11)"),
        status=CRASHED,
        words="was killed by SIGSEGV.",
    ),
    "aborts": Ending(
        command=python("import os; os.abort()"), status=CRASHED, words="was killed by SIGABRT."
    ),
    "hangs": Ending(command=("sleep", "600"), status=TIMEOUT, words=f"{STILL}: killed."),
    "spins": Ending(command=shell("while :; do :; done"), status=TIMEOUT, words=STILL),
    "stops": Ending(
        command=shell("kill -STOP $$"),
        status=TIMEOUT,
        words=f"{STILL}, stopped by SIGSTOP and continued by nobody: killed.",
    ),
    "stops-for-a-while": Ending(
        command=shell("p=$$; (sleep 0.3; kill -CONT $p) & kill -STOP $p; wait"), status=OK
    ),
    "daemon": Ending(command=python(DAEMON), status=OK, doubt="it left processes running"),
    "background": Ending(
        command=shell("sleep 600 & exit 0"), status=OK, doubt="it left processes running"
    ),
    "gigabyte": Ending(
        command=("head", "-c", "1000000000", "/dev/zero"),
        status=CRASHED,
        words="wrote 256 MiB to its output, and got no more.",
    ),
    "prints-differently": Ending(
        command=python("import os; print(os.getpid())"), status=OK, doubt="not the same each time"
    ),
    "prints-by-allocator": Ending(
        command=python("import os; print(os.environ['LD_PRELOAD'].count(':'))"),
        status=OK,
        of_another=Ending(status=OK, doubt="its output is another than under libc"),
    ),
    "prints-what-it-must-not": Ending(
        command=("echo", "hello"),
        status=OK,
        digest="0" * 64,
        of_a_file=Ending(status="corrupt", words="its output is another: SHA-256 5891b5b522d5"),
    ),
    "wants-a-terminal": Ending(
        command=python("open('/dev/tty')"), status=CRASHED, words="'/dev/tty'"
    ),
    "closes-its-streams": Ending(
        command=python("import os; [os.close(n) for n in range(3)]; os._exit(0)"), status=OK
    ),
    "reads-for-ever": Ending(
        command=python("import sys\nwhile True: sys.stdin.read()"), status=TIMEOUT, words=STILL
    ),
    "breaks-a-pipe": Ending(command=shell("yes | head -c 100000"), status=OK),
    "fills-its-folder": Ending(
        command=python("for n in range(30000): open(f'file-{n}', 'w').close()"),
        status=OK,  # of the user's own folder nobody knows how much may be in it
        of_a_file=Ending(status=CRASHED, words="filled the disk, with long files or very many,"),
    ),
    "long-file": Ending(
        command=shell("head -c 300000000 /dev/zero > long"),
        status=CRASHED,
        words="File too large",
    ),
    "removes-our-files": Ending(
        command=shell('rm -f "${ALLOCPHASE_WITNESS%/*}"/*'),
        status="corrupt",
        words="what it printed, or who served it, is not known: allocphase's file witness",
    ),
    "replaces-our-files": Ending(
        command=shell('rm "$ALLOCPHASE_WITNESS" && mkfifo "$ALLOCPHASE_WITNESS"'),
        status="corrupt",
        words="allocphase's file witness beside its folder: is no regular file",
    ),
    "another-preload": Ending(
        command=shell("LD_PRELOAD=$(echo $LD_PRELOAD | tr ':' '\\n' | grep witness) exec true"),
        status=OK,
        of_another=Ending(status="wrong-allocator", words="true comes from"),
    ),
    "no-preload": Ending(command=shell("unset LD_PRELOAD; exec true"), status=OK),
    "execs-itself": Ending(
        command=("sh", "-c", EXECS_ITSELF, EXECS_ITSELF), status=TIMEOUT, words=STILL
    ),
    "crowd": Ending(command=python(CROWD), status=OK),
    "child-crashes": Ending(command=python(CRASHING_CHILD), status=OK),
    "orphan-crashes": Ending(command=shell("(sh -c 'kill -SEGV $$') & wait; exit 0"), status=OK),
}


def cells(folder: Path, ending: Ending) -> dict[tuple[str, str], dict[str, Any]]:
    """By scenario and allocator, of one run."""
    digest = f'output_sha256 = "{ending.digest}"\n' if ending.digest else ""
    (folder / f"{SCENARIO}.toml").write_text(
        'title = "t"\nstands_for = "s"\nsource = "o"\ndoes_not_show = "d"\nseed = 1\n[program]\n'
        f"command = {json.dumps(ending.command)}\n{digest}"
        f'environment = {{ {VARIABLE} = "{os.environ[VARIABLE]}" }}\n'
    )
    (folder / "here").mkdir()
    command = [PYTHON, "-m", "allocphase.cli", "run", "--quiet", "-p", "program"]
    command += [text for each in ALLOCATORS for text in ("-a", each)]
    command += ["-s", f"./{SCENARIO}.toml", "--json", "cells.json"]
    command += ["--timeout", str(SHORT_S if ending.status == TIMEOUT else LONG_S)]
    command += ["--rounds", "1" if ending.status == TIMEOUT else "2"]
    command += ["--program", shlex.join(ending.command), "--name", AD_HOC, "--cwd", "here"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 5), done.stderr
    found = json.loads((folder / "cells.json").read_text())["cells"]
    return {(cell["scenario"], cell["allocator"]): cell for cell in found}


@pytest.mark.parametrize("name", ENDINGS)
def test_each_ending_has_its_status_and_message_and_nothing_is_left(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = ENDINGS[name]
    with nothing_left(f"ending-{name}", monkeypatch):
        found = cells(tmp_path, ending)
    assert set(found) == {(s, a) for s in (AD_HOC, SCENARIO) for a in ALLOCATORS}
    for (scenario, allocator), cell in found.items():
        expected = ending
        if scenario == SCENARIO and ending.of_a_file is not None:
            expected = ending.of_a_file
        if allocator != "libc" and ending.of_another is not None:
            expected = ending.of_another
        where = f"{scenario} under {allocator}: {cell['message']} {cell['warnings']}"
        assert cell["status"] == expected.status, where
        assert expected.words in cell["message"], where
        assert expected.doubt in " ".join(cell["warnings"]), where
