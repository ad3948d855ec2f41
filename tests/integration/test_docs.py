"""What README and docs show is run as it stands there."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from allocphase import allocator, scenario
from allocphase.gate.revisions import Recipe
from allocphase.store.reader import RunFiles
from cli import main
from tests.support.plugins import ROOT


def fenced(path: Path, language: str) -> list[str]:
    """The blocks of one language in a Markdown file."""
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def commands(path: Path) -> list[list[str]]:
    """Indented lines that call allocphase, as words without the program's name."""
    text = path.read_text(encoding="utf-8")
    lines = re.findall(r"^ {4}(?:\.venv/bin/)?allocphase (.+)$", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_the_plug_in_of_the_guide_compiles_and_is_measured_from_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = ROOT / "docs" / "plugins.md"
    (source,) = fenced(guide, "c")
    command, *_ = commands(guide)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("bump.c").write_text(source, encoding="utf-8")
    extra = ["--probe", "syscalls", "--probe", "verify", "--json", "cells.json"]
    result = CliRunner().invoke(main, [*command, *extra])
    assert result.exit_code == 0, result.output
    cells = {
        cell["allocator"]: cell for cell in json.loads(Path("cells.json").read_text())["cells"]
    }
    bump = cells["bump"]
    assert bump["status"] == "ok"
    assert bump["metrics"]["syscalls"]["init"] == {"mmap": 1}
    assert bump["metrics"]["syscalls"]["operation"] == {}
    assert any("emulated" in warning for warning in bump["warnings"])


def test_what_the_guide_shows_of_a_plug_in_that_fails_is_what_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = ROOT / "docs" / "plugins.md"
    (source,), (change,) = fenced(guide, "c"), fenced(guide, "diff")
    before, after = (line[3:] for line in change.splitlines())
    assert source.count(before) == 1
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("bump.c").write_text(source.replace(before, f"{before}\n{after}"), encoding="utf-8")
    for number, (command, shown) in enumerate(
        zip(commands(guide)[1:3], fenced(guide, "text"), strict=True)
    ):
        result = CliRunner().invoke(main, [*command, "--out", f"out{number}"])
        assert result.exit_code == 5
        (run,) = Path(f"out{number}").iterdir()
        (record,) = RunFiles(run).processes()
        assert f"{record.status}: {record.message}" == shown.splitlines()[0]
    assert shown in (run / "failed" / "0" / "repeat.txt").read_text(encoding="utf-8")


def test_the_folder_of_the_guide_is_listed_measured_and_gated_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = ROOT / "docs" / "plugins.md"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = Path("bump")
    folder.mkdir()
    (folder / "bump.c").write_text(fenced(guide, "c")[0], encoding="utf-8")
    (folder / "allocator.toml").write_text(fenced(guide, "toml")[0], encoding="utf-8")
    listed, run, gate = commands(guide)[3:]
    found = CliRunner().invoke(main, listed)
    assert found.exit_code == 0, found.output
    assert "settings: pool_bytes=67108864" in found.output
    extra = ["--probe", "syscalls", "--probe", "verify", "--json", "cells.json"]
    found = CliRunner().invoke(main, [*run, *extra])
    assert found.exit_code == 0, found.output
    cells = json.loads(Path("cells.json").read_text())["cells"]
    assert [(cell["allocator"], cell["status"]) for cell in cells] == [
        ("bump", "ok"),
        ("small", "ok"),
    ]
    found = CliRunner().invoke(main, gate)
    assert found.exit_code == 0, found.output
    assert re.search(r"peak_mapped +improved +64.0 MiB +32.0 MiB", found.output), found.output


def test_the_scenario_of_the_guide_is_listed_run_and_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = ROOT / "docs" / "writing-scenarios.md"
    monkeypatch.chdir(tmp_path)
    (text,) = fenced(guide, "toml")
    Path("sessions.toml").write_text(text, encoding="utf-8")
    listed, *runs = commands(guide)
    found = CliRunner().invoke(main, listed)
    assert found.exit_code == 0, found.output
    assert "trace: 40,000 operations: 20,000 malloc, 20,000 free\n" in found.output
    for run in runs:
        found = CliRunner().invoke(main, [*run, "--json", "cells.json"])
        assert found.exit_code == 0, found.output
    cells = json.loads(Path("cells.json").read_text())["cells"]
    assert {cell["scenario"] for cell in cells} == {"sessions?live=100", "sessions?live=400"}
    assert {cell["status"] for cell in cells} == {"ok"}
    (script,) = fenced(guide, "python")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert re.fullmatch(r"malloc slot \d+ bytes \d+", first)
    assert last.startswith("Counter({12: ")


def test_the_guide_to_scenarios_has_every_key_and_no_other() -> None:
    text = (ROOT / "docs" / "writing-scenarios.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `\[?(\w+)\]?` \|", text, re.MULTILINE))
    assert told == {field.name for field in dataclasses.fields(scenario.collection._Description)}


def test_the_guides_folders_are_what_the_collection_reads(tmp_path: Path) -> None:
    for number, text in enumerate(fenced(ROOT / "docs" / "plugins.md", "toml")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "allocator.toml").write_text(text, encoding="utf-8")
        found = allocator.load(folder / "allocator.toml")
        assert found.name == str(number)
        assert found.title


def test_the_command_lines_of_the_page_on_ci_parse() -> None:
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8").replace("\\\n", "")
    lines = re.findall(r"^ +(allocphase (?:gate|baseline|selftest)\b.*)$", text, re.MULTILINE)
    lines = [line.rstrip("'") if "bisect-exit" in line else line for line in lines]
    parsed = [shlex.split(line)[1:] for line in lines if " ... " not in line]
    opened = 0
    for name, *arguments in parsed:
        command = main.commands[name]
        if not isinstance(command, click.Group):
            found = command.make_context(name, arguments).params
            if found.get("repo"):
                Recipe.read(found["build"], found["object_spec"])
                opened += 1
    assert (len(parsed) > 5, opened) == (True, 2)


def test_the_page_on_allocators_has_the_collection_and_what_installs_each() -> None:
    text = (ROOT / "docs" / "allocators.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \| .* \| (.*) \|$", text, re.MULTILINE)
    told = {name: source for names, source in rows for name in re.findall(r"`([\w-]+)`", names)}
    assert set(told) == set(allocator.collected())
    for path in (ROOT / "allocators").glob("*/allocator.toml"):
        preload = tomllib.loads(path.read_text(encoding="utf-8")).get("preload", {})
        for key in ("package", "python_package"):
            assert preload.get(key, "") in told[path.parent.name]


def test_the_script_that_installs_for_tests_and_bench_has_every_package_of_the_collection() -> None:
    script = (ROOT / "tests" / "system.sh").read_text(encoding="utf-8")
    words = set(
        re.findall(r"[\w.-]+", " ".join(re.findall(r'^mallocs="(.*)"$', script, re.MULTILINE)))
    )
    files = (ROOT / "allocators").glob("*/allocator.toml")
    preloads = [tomllib.loads(path.read_text("utf-8")).get("preload", {}) for path in files]
    assert words - {"mallocs"} == {found["package"] for found in preloads if "package" in found}


def test_every_file_that_readme_and_docs_link_to_is_there() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
