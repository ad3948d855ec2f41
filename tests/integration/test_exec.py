"""`allocphase exec`: a command under an allocator, and nothing else about it changed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.allocator import Allocator
from allocphase.allocator.collection import loader
from tests.support.plugins import Plugins

PROGRAM = Path(sys.executable).with_name("allocphase")
TIMEOUT_S = 120
OURS = ("phase1", "phase2?objects_per_slab=8", "phase21", "phase3", "ariax", "original")
PRELOADS = ("jemalloc", "tcmalloc", "mimalloc", "scudo")


def run(
    spec: str,
    *command: str | Path,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """`allocphase exec -a SPEC -- COMMAND`."""
    return subprocess.run(
        [PROGRAM, "exec", "-a", spec, "--", *command],
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT_S,
        env=environ,
        cwd=cwd,
    )


# ---- What stays as it is -------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_command_s(code: int) -> None:
    done = run("libc", "sh", "-c", f"exit {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_a_command_that_a_signal_ends_has_ended_by_it() -> None:
    assert run("libc", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    inner = f"{PROGRAM} exec -a libc -- sh -c 'kill -9 $$'; echo $?"
    shell = subprocess.run(["sh", "-c", inner], capture_output=True, timeout=TIMEOUT_S)
    assert shell.stdout == b"137\n"


def test_streams_and_options_of_the_command_are_left_alone() -> None:
    data = bytes(range(256)) * 4096
    done = run("libc", "cat", "-", stdin=data)
    assert (done.stdout, done.stderr) == (data, b"")
    done = run("libc", "sh", "-c", "echo out; echo err >&2; echo $1", "-a", "--help")
    assert (done.stdout, done.stderr) == (b"out\n--help\n", b"err\n")


def test_the_command_takes_the_place_of_the_process() -> None:
    command = [str(PROGRAM), "exec", "-a", "libc", "sh", "-c", "echo $$ $0", "one"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.communicate(timeout=TIMEOUT_S)[0] == f"{process.pid} one\n".encode()


def test_the_folder_and_what_signals_do_are_left_alone(tmp_path: Path) -> None:
    what = ["sh", "-c", "pwd; grep -E 'Sig(Ign|Blk|Cgt)' /proc/self/status"]
    plain = subprocess.run(what, capture_output=True, cwd=tmp_path, check=True)
    assert run("libc", *what, cwd=tmp_path).stdout == plain.stdout


def test_the_environment_is_the_user_s_to_the_letter() -> None:
    """In a C locale Python sets LC_CTYPE for itself."""
    environ = {"PATH": os.environ["PATH"], "A": "b=c\nd", "E": "", "MALLOC_ARENA_MAX": "1"}
    done = run("libc", "env", "-0", environ=environ)
    seen = dict(entry.partition("=")[::2] for entry in done.stdout.decode().split("\0") if entry)
    assert seen == environ


# ---- What the allocator changes ------------------------------------------------------------

SERVED = """
import ctypes, sys
data = [bytes(n % 700) for n in range(int(sys.argv[2]))]
print(sum(map(len, data)), open("/proc/self/maps").read().count(sys.argv[1]))
"""


@pytest.mark.parametrize("name", PRELOADS)
def test_python_runs_under_each_preload(installed: Callable[[str], Allocator], name: str) -> None:
    path = installed(name).path
    assert path is not None
    environ = {**os.environ, "PYTHONMALLOC": "malloc"}
    done = run(name, sys.executable, "-c", SERVED, path, "20000", environ=environ)
    total, mapped = done.stdout.split()
    expected = sum(n % 700 for n in range(20_000))
    assert (done.returncode, int(total), done.stderr) == (0, expected, b"")
    assert int(mapped) > 0


@pytest.mark.parametrize("name", OURS)
def test_python_runs_under_each_of_our_own(needs: Callable[..., None], name: str) -> None:
    built = [Path(folder, "liballocphase-malloc.so") for folder in resources.folders("driver")]
    there = [path for path in built if path.is_file()]
    needs(there, "liballocphase-malloc.so", install="install the package again")
    done = run(name, sys.executable, "-c", SERVED, there[0], "1000")  # some search a list
    assert (done.returncode, done.stderr) == (0, b"")
    total, mapped = map(int, done.stdout.split())
    assert total == sum(n % 700 for n in range(1_000))
    assert mapped > 0


MALLCTL = """
import ctypes
value, size = ctypes.c_uint(), ctypes.c_size_t(4)
pointers = ctypes.byref(value), ctypes.byref(size)
assert ctypes.CDLL(None).mallctl(b"opt.narenas", *pointers, None, 0) == 0
print(value.value)
"""


def test_settings_reach_the_allocator(installed: Callable[[str], Allocator]) -> None:
    installed("jemalloc")
    assert run("jemalloc?narenas=3", sys.executable, "-c", MALLCTL).stdout == b"3\n"
    passed = "jemalloc?env.MALLOC_CONF=zero:true,narenas:5"
    assert run(passed, sys.executable, "-c", MALLCTL).stdout == b"5\n"


def test_settings_of_libc_reach_its_loader() -> None:
    path = loader()
    assert path is not None
    listed = run("libc?arena_max=3&tcache_count=0", path, "--list-tunables").stdout.decode()
    assert re.search(r"glibc\.malloc\.arena_max: 0x3 ", listed)


def test_what_the_user_preloads_comes_after_the_allocator(
    installed: Callable[[str], Allocator], plugins: Plugins
) -> None:
    library = installed("jemalloc").path
    environ = {**os.environ, "LD_PRELOAD": str(plugins("calls"))}
    done = run("jemalloc", "sh", "-c", "echo $LD_PRELOAD", environ=environ)
    assert done.stdout.decode() == f"{library}:{plugins('calls')}\n"


# ---- What is told --------------------------------------------------------------------------


def test_what_cannot_be_executed_is_one_line_with_a_shell_s_exit_code(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    lost = tmp_path / "lost"
    lost.write_text("#!/no/such/interpreter -x\n")
    lost.chmod(0o755)
    expected = {
        "no-such-command": (127, "no-such-command: command not found"),
        "./nowhere": (127, "./nowhere: No such file or directory"),
        "./plain": (126, "./plain: Permission denied"),
        str(tmp_path): (126, f"{tmp_path}: Is a directory"),
        "./lost": (126, "./lost: its interpreter /no/such/interpreter is not there"),
    }
    for command, (code, words) in expected.items():
        done = run("libc", command, cwd=tmp_path)
        assert (done.returncode, done.stderr.decode()) == (code, f"allocphase: {words}\n")


def test_a_script_without_a_first_line_is_the_shell_s(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("echo $0 $1; exit 3\n")
    (tmp_path / "old").chmod(0o755)
    done = run("libc", "./old", "x", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, b"./old x\n")


def test_an_allocator_that_is_not_there_or_not_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "allocator.toml").write_text(
        'title = "A"\nsummary = "a"\nkind = "preload"\n[preload]\nlibraries = ["libno.so.9"]\n'
    )
    for spec, words in {
        "./absent": "allocator absent: not installed: apt-get install",
        "jemallok": "allocator 'jemallok' does not exist: did you mean 'jemalloc'?",
        "libc?arena_max=1,2": "names 2, a command runs under one",
        "null": "allocator null is the floor",
        "libc?arenas=1": "did you mean 'arena_test', or env.VARIABLE=VALUE",
    }.items():
        done = run(spec, "true", cwd=tmp_path)
        assert done.returncode == 2
        assert words in done.stderr.decode()


def test_a_program_that_cannot_be_preloaded_runs_and_is_said(
    installed: Callable[[str], Allocator], tmp_path: Path, needs: Callable[..., None]
) -> None:
    installed("jemalloc")
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    (tmp_path / "five.c").write_text("int main(void) { return 5; }\n")
    subprocess.run(["cc", "-static", "-o", "five", "five.c"], cwd=tmp_path, check=True)
    done = run("jemalloc", "./five", cwd=tmp_path)
    assert done.returncode == 5
    assert done.stderr == b"allocphase: five is linked statically: it runs without jemalloc\n"
    assert run("libc", "./five", cwd=tmp_path).stderr == b""


def test_its_help_says_which_exit_codes_are_not_the_command_s() -> None:
    done = subprocess.run([PROGRAM, "exec", "--help"], capture_output=True, text=True, check=True)
    assert "127 no such command, 126" in done.stdout
