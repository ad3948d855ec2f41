"""liballocphase-malloc.so: programs on our own allocators, with the output they have anyway."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from allocphase import resources
from tests.conftest import Needs
from tests.support.exerciser import CORRECT
from tests.support.plugins import ROOT, Plugins, compiled
from tests.support.preload import plugin_path, run

FAMILY = {
    "malloc", "calloc", "realloc", "reallocarray", "free", "aligned_alloc", "posix_memalign",
    "memalign", "valloc", "pvalloc", "malloc_usable_size", "free_sized", "free_aligned_sized",
    "_Znwm", "_ZdlPv",
}  # fmt: skip

BASH = """
words=(); declare -A seen
for ((i = 0; i < 1500; i++)); do words+=("word$((i % 70))"); seen[${words[i]}]=$i; done
for word in "${!seen[@]}"; do echo "$word ${seen[$word]}"; done | sort | tail -n 3
echo "${#words[@]} ${#seen[@]} $(echo "${words[@]:5:3}" | tr a-z A-Z)"
"""
PYTHON = """
import json, re, subprocess, sys
data = [{"name": f"entry {i}", "values": list(range(i % 17))} for i in range(1500)]
text = json.dumps(data, sort_keys=True)
assert json.loads(text) == data
print(len(text), sum(map(int, re.findall(r"\\\\b[0-9]+\\\\b", text))), hash(text))
print(subprocess.check_output([sys.executable, "-c", "print('a child')"], text=True))
"""
SQLITE = """
import sqlite3
base = sqlite3.connect(":memory:")
base.execute("create table words(id integer primary key, word text)")
rows = [(i, f"word {i * 7919 % 3001}") for i in range(3000)]
base.executemany("insert into words values(?, ?)", rows)
base.execute("create index by_word on words(word)")
print(base.execute("select count(*), max(word), sum(length(word)) from words").fetchone())
print(base.execute("select word from words order by word desc limit 3").fetchall())
"""
SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct list { struct list *next; char text[32]; };
int main(void) {
  struct list *first = NULL;
  for (int i = 0; i < 100; i++) {
    struct list *one = malloc(sizeof *one);
    if (!one) return 1;
    *one = (struct list){.next = first};
    snprintf(one->text, sizeof one->text, "element %d", i);
    first = one;
  }
  puts(first->text);
  return 0;
}
"""


def _is_as_ever(name: str, *command: str | Path, more: Mapping[str, str] | None = None) -> None:
    """The command's output, errors and exit code are those that it has without us."""
    plain, served = run(command, more=more), run(command, plugin_path(name), more=more)
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout
    assert (served.stdout, served.stderr, served.returncode) == (plain.stdout, plain.stderr, 0)


# ---- Programs that people have --------------------------------------------------------------


@pytest.mark.parametrize("name", CORRECT)
def test_python_runs_with_a_child(name: str) -> None:
    _is_as_ever(name, sys.executable, "-c", PYTHON)


@pytest.mark.parametrize("name", CORRECT)
def test_python_runs_where_each_of_its_objects_is_a_block(name: str) -> None:
    command = [sys.executable, "-S", "-c", "print(sum(map(len, map(str, range(9999)))))"]
    _is_as_ever(name, *command, more={"PYTHONMALLOC": "malloc"})


@pytest.mark.parametrize("name", CORRECT)
def test_sqlite_runs(name: str) -> None:
    _is_as_ever(name, sys.executable, "-c", SQLITE)


@pytest.mark.parametrize("name", CORRECT)
def test_bash_runs_with_its_pipes_and_subshells(name: str, needs: Needs) -> None:
    needs(shutil.which("bash"), "bash", install="apt-get install bash")
    _is_as_ever(name, "bash", "-c", BASH)


@pytest.mark.parametrize("name", CORRECT)
def test_the_c_compiler_its_assembler_and_its_linker_make_the_same_program(
    name: str, tmp_path: Path, needs: Needs
) -> None:
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    (tmp_path / "list.c").write_text(SOURCE)
    command = ["cc", "-O1", "-Wl,--build-id", "list.c", "-o", "list"]
    made = []
    for plugin in (None, plugin_path(name)):
        done = run(command, plugin, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        made.append((tmp_path / "list").read_bytes())
        (tmp_path / "list").rename(tmp_path / "compiled")
    assert made[0] == made[1]
    assert run([tmp_path / "compiled"], plugin_path(name)).stdout == "element 99\n"


@pytest.mark.parametrize("name", CORRECT)
def test_git_keeps_a_repository(name: str, tmp_path: Path, needs: Needs) -> None:
    needs(shutil.which("git"), "git", install="apt-get install git")
    person = {"NAME": "someone", "EMAIL": "someone@example.org", "DATE": "2020-01-01T00:00:00Z"}
    who = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    for role in ("AUTHOR", "COMMITTER"):
        who |= {f"GIT_{role}_{key}": value for key, value in person.items()}
    outputs = []
    for plugin in (None, plugin_path(name)):
        folder = tmp_path / ("plain" if plugin is None else "served")
        folder.mkdir()

        def git(*words: str, plugin: Path | None = plugin, folder: Path = folder) -> str:
            done = run(["git", *words], plugin, cwd=folder, more=who)
            assert done.returncode == 0, done.stderr
            return done.stdout

        git("init", "-q", "-b", "main")
        for revision in range(3):
            for number in range(8):
                lines = [f"{revision * number} of {line % (revision + 2)}" for line in range(60)]
                (folder / f"{number}.txt").write_text("\n".join(lines))
            git("add", ".")
            git("commit", "-q", "-m", f"revision {revision}")
        git("gc", "-q")
        log = ["log", "-p", "--stat", "--format=%H %s"]
        outputs.append(git(*log) + git("blame", "7.txt") + git("fsck", "--full"))
    assert outputs[0] == outputs[1]
    assert outputs[0].count("revision") >= 3


# ---- Every corner of malloc -----------------------------------------------------------------


@pytest.mark.parametrize("name", CORRECT)
@pytest.mark.parametrize("what", ["calls", "early", "threads", "fork"])
def test_a_program_that_asks_everywhere_is_served(name: str, what: str, program: Path) -> None:
    _is_as_ever(name, program, what)


@pytest.mark.parametrize("name", CORRECT)
def test_objects_can_be_opened_and_closed(name: str, program: Path) -> None:
    _is_as_ever(name, program, "dlopen", plugin_path("null"))


@pytest.mark.parametrize("name", CORRECT)
def test_new_and_delete_are_served_in_all_their_forms(name: str, operators: Path) -> None:
    _is_as_ever(name, operators)


@pytest.mark.parametrize("name", CORRECT)
def test_the_linker_itself_says_who_serves(name: str, program: Path) -> None:
    *functions, description = run([program, "served"], plugin_path(name)).stdout.splitlines()
    served_by = dict(line.split(" ", 1) for line in functions)
    assert set(served_by) == FAMILY
    assert {Path(path) for path in served_by.values()} == {resources.malloc_preload()}
    parts = dict(part.split("=", 1) for part in description.split("&"))
    assert Path(parts["plugin"]) == plugin_path(name)
    assert parts["emulated"] == ""
    assert int(parts["bootstrap_blocks"]) > 0


def test_what_is_not_thread_safe_is_said_to_be_behind_a_lock(program: Path) -> None:
    assert "&locked=1&" in run([program, "served"], plugin_path("phase21")).stdout


# ---- What a plug-in lacks, and what it may ask for ------------------------------------------


@pytest.mark.parametrize("what", ["calls", "early", "threads"])
def test_a_plugin_that_has_malloc_and_free_alone_serves_all_of_it(
    what: str, program: Path, plugins: Plugins
) -> None:
    plain, served = run([program, what]), run([program, what], plugins("table"))
    assert (served.stdout, served.stderr) == (plain.stdout, "")


def test_what_is_emulated_is_said(program: Path, plugins: Plugins) -> None:
    said = run([program, "served"], plugins("table")).stdout
    assert "&emulated=calloc,realloc,aligned_alloc,usable_size&" in said


@pytest.mark.parametrize("what", ["calls", "threads", "fork"])
def test_a_plugin_that_calls_malloc_itself_is_not_called_by_it(
    what: str, program: Path, plugins: Plugins
) -> None:
    """Here all that it does is to call malloc: the bootstrap serves."""
    plain, served = run([program, what]), run([program, what], plugins("libc"))
    assert (served.stdout, served.stderr) == (plain.stdout, "")


def test_each_thread_has_its_start_and_its_end_around_all_of_its_calls(
    program: Path, plugins: Plugins
) -> None:
    """The plug-in ends the process otherwise. It has thread-local variables of the slow kind."""
    plugin = plugins("parting")
    done = run([str(program), "counts", str(plugin)], plugin)
    assert done.stderr == ""
    assert done.stdout.endswith("threads 1 more started than stopped, at least 20: 1\n")


# ---- Settings and failures ------------------------------------------------------------------


def test_settings_reach_the_plugin(program: Path) -> None:
    settings = "region_bytes=1048576&regions_at_init=1"
    done = run([program, "calls"], plugin_path("phase1"), settings)
    assert (done.stdout, done.stderr) == ("calls are right\n", "")


Refused = Callable[[dict[str, str]], str]


@pytest.fixture
def refused(program: Path) -> Refused:
    """refused({"ALLOCPHASE_PLUGIN": ...}): the line of a process that ended with code 127."""

    def line(environment: dict[str, str]) -> str:
        preload = {"LD_PRELOAD": str(resources.malloc_preload())}
        done = run([program, "calls"], more=preload | environment)
        assert (done.returncode, done.stdout) == (127, "")
        text, end, rest = done.stderr.partition("\n")
        assert (end, rest) == ("\n", "")
        assert text.startswith("liballocphase-malloc: ")
        return text.removeprefix("liballocphase-malloc: ")

    return line


def test_no_plugin_is_an_error_and_not_libc(refused: Refused) -> None:
    assert refused({}) == "ALLOCPHASE_PLUGIN is not set: the path of a plug-in"


def test_a_relative_path_is_refused_since_children_work_elsewhere(refused: Refused) -> None:
    said = refused({"ALLOCPHASE_PLUGIN": "phase1.so"})
    assert said == "ALLOCPHASE_PLUGIN is not an absolute path: phase1.so"


def test_an_object_that_is_not_there_is_named(refused: Refused) -> None:
    said = refused({"ALLOCPHASE_PLUGIN": "/no/such/plugin.so"})
    assert said.startswith("cannot be loaded: /no/such/plugin.so: ")


def test_an_object_that_is_no_plugin_is_named(refused: Refused) -> None:
    said = refused({"ALLOCPHASE_PLUGIN": str(resources.malloc_preload())})
    assert said.endswith(" exports no allocphase_plugin: not a plug-in")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("pool_bytes=1", "{plugin}: init refuses the setting pool_bytes=1"),
        ("pool_bytes=16777216&x=", "{plugin}: init refuses one of pool_bytes=16777216, x="),
        ("pool_bytes", "ALLOCPHASE_PLUGIN_SETTINGS: not key=value: pool_bytes"),
        ("=1", "ALLOCPHASE_PLUGIN_SETTINGS: not key=value: =1"),
        ("&".join(["a=1"] * 65), "ALLOCPHASE_PLUGIN_SETTINGS: too many"),
        ("a=" + "1" * 5000, "ALLOCPHASE_PLUGIN_SETTINGS is too long"),
    ],
)
def test_settings_that_are_refused_are_named(refused: Refused, settings: str, said: str) -> None:
    plugin = str(plugin_path("phase21"))
    given = {"ALLOCPHASE_PLUGIN": plugin, "ALLOCPHASE_PLUGIN_SETTINGS": settings}
    assert refused(given) == said.format(plugin=plugin)


def test_a_reserve_that_the_process_may_not_have_is_said_and_can_be_set_smaller(
    program: Path, needs: Needs
) -> None:
    """ariax reserves 16 GiB of addresses for its domains: by design, and by its settings."""
    needs(shutil.which("prlimit"), "prlimit", install="apt-get install util-linux")
    plugin, preload = plugin_path("ariax"), f"LD_PRELOAD={resources.malloc_preload()}"
    limited = ["prlimit", "--as=3000000000", "env", preload, str(program), "calls"]
    done = run(limited, more={"ALLOCPHASE_PLUGIN": str(plugin)})
    said = f"liballocphase-malloc: {plugin}: init failed: Cannot allocate memory\n"
    assert (done.returncode, done.stdout, done.stderr) == (127, "", said)
    smaller = {"ALLOCPHASE_PLUGIN_SETTINGS": "standard_pool_bytes=1073741824&domains=10"}
    done = run(limited, more={"ALLOCPHASE_PLUGIN": str(plugin), **smaller})
    assert (done.returncode, done.stdout, done.stderr) == (0, "calls are right\n", "")


def test_a_child_on_a_plugin_that_is_gone_fails_and_the_parent_goes_on(
    tmp_path: Path, needs: Needs
) -> None:
    needs(shutil.which("bash"), "bash", install="apt-get install bash")
    plugin = tmp_path / "phase21.so"
    shutil.copy(plugin_path("phase21"), plugin)
    script = f"rm {plugin}; /bin/ls / > ls.txt; echo $?"
    done = run(["bash", "-c", script], plugin, cwd=tmp_path)
    assert done.stdout == "127\n"
    assert "liballocphase-malloc: cannot be loaded" in done.stderr
    assert (tmp_path / "ls.txt").read_text() == ""


def test_the_plugin_of_the_documentation_serves_a_program(tmp_path: Path) -> None:
    """The bump allocator of docs/plugins.md takes nothing back: enough for a short program."""
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    source = tmp_path / "bump.c"
    source.write_text(text.partition("```c\n")[2].partition("```")[0])
    done = run(["/bin/ls", "/"], compiled(source), "pool_bytes=16777216")
    assert done.stdout == run(["/bin/ls", "/"]).stdout
