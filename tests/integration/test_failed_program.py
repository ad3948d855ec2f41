"""What --keep-failed keeps of a program's run that failed: its printed command fails alike."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from allocphase.store.reader import RunFiles
from tests.support.plugins import Plugins

Needs = Callable[..., None]
HEAD = 'title = "t"\nstands_for = "s"\nsource = "o"\ndoes_not_show = "d"\nseed = 1\n[program]\n'
CRASHING = """
#include <stdio.h>
int main(void) {
  puts("before");
  fflush(stdout);
  fputs("about to crash\\n", stderr);
  return *(volatile int *)0;
}
"""


def run(folder: Path, *arguments: str) -> Path:
    """`allocphase run --keep-failed` of programs; returns its directory."""
    command = [sys.executable, "-m", "allocphase.cli", "run", "--quiet", "--rounds", "1"]
    command += ["-p", "program", "--keep-failed", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    (found,) = (folder / "out").iterdir()
    assert "To repeat it, paste one of these lines into a shell:" in done.stderr
    return found


def text_of(folder: Path, process: int = 0) -> str:
    return (folder / "failed" / str(process) / "repeat.txt").read_text()


def repeated(text: str, what: str) -> subprocess.CompletedProcess[str]:
    """What comes of the command below the words that begin so, in a shell that is elsewhere."""
    lines = text.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.startswith(f"# {what}")]
    return subprocess.run(
        ["sh", "-c", lines[at + 1]], capture_output=True, text=True, cwd="/", timeout=200
    )


def test_a_program_of_the_command_line_is_run_again_with_all_that_it_had(tmp_path: Path) -> None:
    (tmp_path / "a folder").mkdir()
    (tmp_path / "words").write_text("from stdin")
    script = 'pwd; cat; echo "$A $LD_PRELOAD" >&2; exit 3'
    kept = run(
        tmp_path,
        *("-a", "jemalloc?narenas=1", "--program", f"sh -c {shlex.quote(script)}"),
        *("--env", "A=it's", "--cwd", "a folder", "--stdin", "words"),
    )
    text = text_of(kept)
    (record,) = RunFiles(kept).processes()
    assert record.kept
    assert text.startswith("jemalloc?narenas=1 on sh, program (process 0):\ncrashed: ended with")
    assert (kept / "failed" / "0" / "stdout").read_text() == f"{tmp_path}/a folder\nfrom stdin"
    assert "  from stdin\n" in text
    assert "exec -a 'jemalloc?narenas=1' -- " in text
    done = repeated(text, "as it ran")
    assert done.returncode == 3
    assert done.stdout == f"{tmp_path}/a folder\nfrom stdin"
    assert "it's " in done.stderr
    assert "libjemalloc" in done.stderr


def test_a_scenario_s_program_is_run_again_with_its_files(tmp_path: Path, needs: Needs) -> None:
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    (tmp_path / "crashing.c").write_text(CRASHING)
    table = 'command = ["{inputs}/crashing"]\nfiles = ["crashing.c"]\n'
    (tmp_path / "mine.toml").write_text(HEAD + table)
    kept = run(tmp_path, "-a", "phase3", "-s", "./mine.toml")
    text = text_of(kept)
    assert "crashed: was killed by SIGSEGV. about to crash" in text
    assert "The end of its stdout (7 bytes; see the file stdout):\n  before\n" in text
    assert (kept / "failed" / "0" / "stderr").read_text() == "about to crash"
    assert not (kept / "traces").exists()
    done = repeated(text, "as it ran")
    assert done.returncode in (-signal.SIGSEGV, 128 + signal.SIGSEGV)
    assert (done.stdout, done.stderr.splitlines()[0]) == ("before\n", "about to crash")


def test_gdb_stops_where_a_program_crashes(tmp_path: Path, needs: Needs) -> None:
    needs(shutil.which("gdb"), "gdb", install="apt-get install gdb")
    (tmp_path / "crashing.c").write_text(CRASHING)
    table = 'command = ["{inputs}/crashing"]\nfiles = ["crashing.c"]\n'
    (tmp_path / "mine.toml").write_text(HEAD + table)
    said = repeated(text_of(run(tmp_path, "-a", "phase3", "-s", "./mine.toml")), "in gdb").stdout
    assert "SIGSEGV" in said
    assert "main ()" in said


def test_an_object_that_has_no_name_of_its_own_is_named_by_its_file(
    tmp_path: Path, plugins: Plugins
) -> None:
    """Its malloc ends the process: no program gets to its first line."""
    spec = f"mine={plugins('ends')}?way=segv&in=malloc"
    text = text_of(run(tmp_path, "-a", spec, "--program", "cat", "-r", "1"))
    done = repeated(text, "as it ran")
    assert done.returncode in (-signal.SIGSEGV, 128 + signal.SIGSEGV), text


def test_what_hangs_is_said_to_go_on(tmp_path: Path) -> None:
    text = text_of(run(tmp_path, "-a", "libc", "--program", "sleep 60", "--timeout", "0.5"))
    assert "# as it ran; nothing but Ctrl-C ends it here\n" in text
    assert "It wrote nothing to stdout.\n" in text
