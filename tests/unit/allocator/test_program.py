"""Programs by name, and what keeps a preload out of one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase.allocator.program import find_program, interpreter_of, obstacle

Compiled = Callable[..., Path]


@pytest.fixture
def compiled(tmp_path: Path, needs: Callable[..., None]) -> Compiled:
    """compiled("name", flags): a program that does nothing."""
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")

    def build(name: str, *flags: str) -> Path:
        source = tmp_path / "none.c"
        source.write_text("int main(void) { return 0; }\n")
        subprocess.run(["cc", *flags, "-o", tmp_path / name, source], check=True)
        return tmp_path / name

    return build


def script(path: Path, line: str) -> Path:
    path.write_text(f"{line}\ntrue\n")
    path.chmod(0o755)
    return path


# ---- Where it is -------------------------------------------------------------------------


def test_the_first_of_the_path_that_can_be_executed_is_taken(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "tool").write_text("")
    script(tmp_path / "two" / "tool", "#!/bin/sh")
    script(tmp_path / "three" / "tool", "#!/bin/sh")
    path = ":".join(str(tmp_path / name) for name in ("none", "one", "two", "three"))
    assert find_program("tool", {"PATH": path}) == tmp_path / "two" / "tool"


def test_an_empty_entry_of_the_path_is_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script(tmp_path / "tool", "#!/bin/sh")
    assert find_program("tool", {"PATH": "/nowhere:"}).resolve() == tmp_path / "tool"


def test_a_name_with_a_slash_is_a_path(tmp_path: Path) -> None:
    found = script(tmp_path / "tool", "#!/bin/sh")
    assert find_program(str(found), {"PATH": ""}) == found
    with pytest.raises(FileNotFoundError):
        find_program("./nowhere/tool", {"PATH": str(tmp_path)})


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_found_and_cannot_be_executed_is_another_error(tmp_path: Path, kind: str) -> None:
    if kind == "file":
        (tmp_path / "tool").write_text("")
    else:
        (tmp_path / "tool").mkdir()
    with pytest.raises(PermissionError):
        find_program("tool", {"PATH": str(tmp_path)})
    with pytest.raises(FileNotFoundError):
        find_program("tools", {"PATH": str(tmp_path)})


def test_the_words_behind_the_shebang(tmp_path: Path) -> None:
    assert interpreter_of(script(tmp_path / "a", "#! /usr/bin/env -S python3 -u")) == [
        "/usr/bin/env",
        "-S",
        "python3",
        "-u",
    ]
    assert interpreter_of(script(tmp_path / "b", "echo #!/bin/sh")) == []


# ---- What keeps a preload out --------------------------------------------------------------


def test_nothing_keeps_a_preload_out_of_what_is_linked_dynamically(tmp_path: Path) -> None:
    assert obstacle(Path(sys.executable), {}) is None
    assert obstacle(script(tmp_path / "a", f"#!{sys.executable}"), {}) is None
    assert obstacle(tmp_path / "nowhere", {}) is None


def test_a_static_program_is_known_also_behind_scripts(compiled: Compiled, tmp_path: Path) -> None:
    static = compiled("static", "-static")
    reason = "is linked statically"
    assert obstacle(static, {}) == reason
    assert obstacle(compiled("pie", "-static-pie"), {}) == reason
    direct = script(tmp_path / "direct", f"#!{static} -x")
    assert obstacle(direct, {}) == reason
    assert obstacle(script(tmp_path / "twice", f"#!{direct}"), {}) == reason
    by_env = script(tmp_path / "by_env", "#!/usr/bin/env -S A=1 static -x")
    assert obstacle(by_env, {"PATH": str(tmp_path)}) == reason
    assert obstacle(by_env, {"PATH": "/nowhere"}) is None  # who runs it will see


def test_a_script_that_is_its_own_interpreter_has_an_end(tmp_path: Path) -> None:
    assert obstacle(script(tmp_path / "a", f"#!{tmp_path / 'a'}"), {}) is None


def test_the_loader_by_name_preloads_though_it_asks_for_no_other(compiled: Compiled) -> None:
    assert obstacle(compiled("ld-linux-x86-64.so.2", "-static"), {}) is None


def test_programs_of_another_library_or_machine(compiled: Compiled, tmp_path: Path) -> None:
    other = compiled("other", "-Wl,--dynamic-linker=/lib/ld-musl-any.so.1")
    words = "is of another C library than the allocator (ld-musl-any.so.1)"
    assert obstacle(other, {}) == words
    content = bytearray(compiled("native").read_bytes())
    content[18] ^= 1
    foreign = tmp_path / "foreign"
    foreign.write_bytes(content)
    assert obstacle(foreign, {}) == "is of another kind of machine than the allocator"
    content[4] = 1  # 32 bits
    foreign.write_bytes(content)
    assert obstacle(foreign, {}) == "is of another kind of machine than the allocator"


@pytest.mark.parametrize(
    ("mode", "who", "known"),
    [(0o4755, "getuid", True), (0o2755, "getgid", True), (0o2745, "getgid", False)],
)
def test_a_program_with_rights_of_its_own_is_known(
    compiled: Compiled, monkeypatch: pytest.MonkeyPatch, mode: int, who: str, known: bool
) -> None:
    tool = compiled("tool")
    tool.chmod(mode)
    assert obstacle(tool, {}) is None  # its owner's
    monkeypatch.setattr(os, who, lambda: 12345)
    reason = "runs with more rights than its user (setuid, setgid or a capability)"
    assert obstacle(tool, {}) == (reason if known else None)


def test_a_program_with_a_capability_is_known_but_for_root(
    compiled: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = compiled("tool")
    given = {"security.capability": b"\x01"}
    monkeypatch.setattr(os, "getxattr", lambda _, name: given[name])
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert obstacle(tool, {}) is None
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert obstacle(tool, {}) == (
        "runs with more rights than its user (setuid, setgid or a capability)"
    )
