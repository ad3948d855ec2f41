"""Program scenarios: what a file and a command line may say, and what their digest is of."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase.commands import listing
from allocphase.errors import UsageError
from allocphase.run.describe import describe_program
from allocphase.scenario import Program, ad_hoc, generate, load
from allocphase.scenario.inputs import INPUTS

HEAD = 'title = "t"\nstands_for = "s"\nsource = "o"\ndoes_not_show = "d"\nseed = 1\n'
GOOD = '[program]\ncommand = ["cat", "{inputs}/mine.txt"]\nfiles = ["mine.txt"]\n'


def written(folder: Path, text: str = GOOD, *, content: str = "hello") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "mine.txt").write_text(content)
    path = folder / "mine.toml"
    path.write_text(HEAD + text)
    return path


def loaded(folder: Path, text: str = GOOD, *, content: str = "hello") -> Program:
    found = load(written(folder, text, content=content))
    assert isinstance(found, Program)
    return found


def test_its_files_and_its_command_are_put_together(tmp_path: Path) -> None:
    program, inputs = loaded(tmp_path / "a"), tmp_path / "inputs"
    inputs.mkdir()
    program.make_inputs(inputs)
    assert (inputs / "mine.txt").read_text() == "hello"
    assert program.arguments(inputs) == ["cat", f"{inputs}/mine.txt"]
    assert program.with_parameters({}) is program


def test_python_is_the_one_that_runs_allocphase(tmp_path: Path) -> None:
    program = loaded(tmp_path, '[program]\ncommand = ["{python}", "-c", "1"]\n')
    assert program.arguments(tmp_path)[0] == sys.executable


def test_a_c_file_becomes_a_program(tmp_path: Path) -> None:
    (tmp_path / "one.c").write_text("int main(void) { return 0; }\n")
    program = loaded(tmp_path, '[program]\ncommand = ["{inputs}/one"]\nfiles = ["one.c"]\n')
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    program.make_inputs(inputs)
    assert (inputs / "one").stat().st_mode & 0o100
    (tmp_path / "one.c").write_text("int main(void) { nonsense }\n")
    with pytest.raises(UsageError, match=r"scenario mine: its files: one\.c: cc: .*nonsense"):
        program.make_inputs(inputs)


def test_the_digest_is_of_what_it_does_and_not_of_where_it_lies(tmp_path: Path) -> None:
    one, other = loaded(tmp_path / "a"), loaded(tmp_path / "b")
    assert one.digest == other.digest
    assert loaded(tmp_path / "c", content="changed").digest != one.digest
    assert replace(one, seed=2).digest != one.digest
    environment = GOOD + 'environment = { A = "1" }\n'
    assert loaded(tmp_path / "d", environment).digest != one.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"family: missing"),
        ('family = "churn"\n' + GOOD, r"family: is not for a program"),
        ("work_ns = 5\n" + GOOD, r"work_ns: is not for a program"),
        (GOOD.replace("files", "flies"), r"program: key 'flies' .*did you mean 'files'"),
        ("[program]\ncommand = []\n", r"program\.command: must have 1 or more"),
        (GOOD + 'inputs = "json_line"\n', r"program\.inputs: .*json_lines"),
        (GOOD + 'output_sha256 = "abc"\n', r"program\.output_sha256: must be a SHA-256"),
        (GOOD + 'folder = "/"\n', r"program\.folder, program\.input: are for a command"),
        (GOOD + 'environment = { "A=B" = "1" }\n', r"must be a variable's name"),
        (
            GOOD.replace('"mine.txt"]', '"other.txt"]'),
            r"program\.files: .*other\.txt': no such file",
        ),
        (GOOD.replace('"mine.txt"]', f'"{"1" * 5000}"]'), r"program\.files: .*: no such file"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_key(
    tmp_path: Path, text: str, message: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=f"mine.toml.*{message}") as caught:
        load(path)
    assert len(str(caught.value)) < 600


def test_it_has_no_trace_and_no_parameters(tmp_path: Path) -> None:
    program = loaded(tmp_path)
    with pytest.raises(UsageError, match="scenario mine: is a program, and has no trace"):
        generate(program)
    with pytest.raises(UsageError, match="is a program, and has no parameter 'live'"):
        program.with_parameters({"live": "3"})


def test_what_is_not_installed_is_named(tmp_path: Path) -> None:
    text = GOOD + 'needs = ["cat", "no-such-command-here"]\n'
    assert loaded(tmp_path, text).missing == "not installed: no-such-command-here"
    assert loaded(tmp_path).missing is None


@pytest.mark.parametrize("name", INPUTS)
def test_equal_seeds_make_equal_inputs(tmp_path: Path, name: str) -> None:
    made = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        INPUTS[name](tmp_path / folder, seed)
        made.append(contents(tmp_path / folder))
    assert made[0] == made[1] != made[2]


def contents(folder: Path) -> dict[str, bytes]:
    """By name; of a repository what a commit's name stands for."""
    heads = sorted(folder.rglob(".git/refs/heads/main"))
    paths = heads or sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


# ---- A command line -------------------------------------------------------------------------


def test_a_command_is_taken_apart_as_a_shell_does(tmp_path: Path) -> None:
    program = ad_hoc("echo 'a b' c", folder=tmp_path, environment=["A=1=2"])
    assert program.program.command == ("echo", "a b", "c")
    assert program.name == "echo"
    assert program.program.environment == {"A": "1=2"}
    assert program.program.folder == str(tmp_path)
    assert program.program.cpus == 0


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("", {}, "--program: there is no command"),
        ("echo 'a", {}, "--program .*: No closing quotation: quote it as for a shell"),
        ("no-such-command-here", {}, "--program: 'no-such-command-here': no such command"),
        ("echo", {"folder": Path("/nowhere")}, "--cwd /nowhere: no such folder"),
        ("echo", {"stdin": Path("/nowhere")}, "--stdin /nowhere: no such file"),
        ("echo", {"name": "a?b"}, "--name 'a[?]b': letters, digits"),
        ("echo", {"environment": ["A"]}, "--env 'A': it is written NAME=VALUE"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_said_with_the_option(
    command: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ad_hoc(command, **options)  # type: ignore[arg-type]


def test_its_share_in_malloc_is_for_readers_and_no_part_of_the_digest(tmp_path: Path) -> None:
    said = f'{GOOD}share_in_malloc = "Half of it."\n'
    told = loaded(tmp_path / "a", said)
    assert told.digest == loaded(tmp_path / "a").digest
    assert "share in malloc: Half of it." in listing.scenarios([told], verbose=True)
    assert "*Share in malloc.* Half of it." in listing.scenarios_markdown([told])
    entry = describe_program(told)
    assert entry.program is not None and entry.program.share_in_malloc == "Half of it."
