"""A wheel, installed into an empty environment: what lands where, and that it works there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.plugins import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, needs: object) -> Path:
    """Built without network, in a folder of its own: the checkout's build/ stays as it is."""
    assert callable(needs)
    found = subprocess.run([sys.executable, "-c", "import scikit_build_core, pip"]).returncode == 0
    needs(found, "scikit-build-core and pip", install="pip install scikit-build-core")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps"]
    command += [f"--config-settings=build-dir={folder / 'build'}", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel and nothing else, not even pip."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    command = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, *command, str(wheel)], check=True)
    return folder


def site_packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found


def test_the_wheel_serves_every_python_of_this_machine_s_kind(wheel: Path) -> None:
    name, version, python, abi, platform = wheel.stem.split("-")
    assert (name, python, abi) == ("allocphase", "py3", "none")
    assert version
    machine = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert platform == machine
    assert platform.startswith("linux_")


def test_nothing_but_the_package_and_its_command_is_installed(environment: Path) -> None:
    package, information = sorted(path.name for path in site_packages(environment).iterdir())
    assert package == "allocphase"
    assert re.fullmatch(r"allocphase-[\d.]+\.dist-info", information)
    python = {"python", "python3", f"python{sys.version_info.major}.{sys.version_info.minor}"}
    commands = {path.name for path in (environment / "bin").iterdir()} - python
    assert {name for name in commands if "ctivate" not in name} == {"allocphase"}
    unusual = {"bin", "include", "lib", "lib64", "pyvenv.cfg"}
    assert {path.name for path in environment.iterdir()} <= unusual


def test_the_collections_the_driver_and_the_header_are_inside(
    environment: Path,
) -> None:
    package = site_packages(environment) / "allocphase"
    libraries = ("count", "malloc", "recorder", "witness")
    preloads = (*(f"liballocphase-{name}.so" for name in libraries), "allocphase-recorder")
    native = ("allocphase-driver", "allocphase.h", *preloads)
    for expected in ("cli.py", *(f"driver/{name}" for name in native)):
        assert (package / expected).is_file(), expected
    for settings in (ROOT / "allocators").glob("*/allocator.toml"):
        name = settings.parent.name
        assert (package / "allocators" / name / "allocator.toml").is_file()
        if settings.with_name(f"{name}.c").is_file():
            assert (package / "allocators" / name / f"{name}.so").is_file()
    for folder in ("scenarios", "scenarios/programs"):
        shipped, installed = (
            {path.name for path in (root / folder).iterdir()} - {"__pycache__"}
            for root in (ROOT, package)
        )
        assert installed == shipped
    reports = ROOT / "reports"
    for path in (path for path in reports.rglob("*") if path.is_file()):
        assert (package / "reports" / path.relative_to(reports)).is_file(), path


def test_no_allocator_s_source_and_no_leftover_is_shipped(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert [name for name in names if name.endswith((".o", ".pyc", ".partial"))] == []
    allocators = {Path(name).suffix for name in names if name.startswith("allocphase/allocators/")}
    assert allocators == {".so", ".toml"}


@pytest.fixture(scope="module")
def command(environment: Path) -> Iterator[str]:
    """With this interpreter's click and numpy behind it: the wheel brings no dependency."""
    behind = site_packages(environment) / "behind.pth"
    behind.write_text(sysconfig.get_path("purelib") + "\n")
    yield str(environment / "bin" / "allocphase")
    behind.unlink()


def in_an_empty_folder(
    folder: Path, *words: str, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    return subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environment)


def test_the_installed_command_measures(command: str, environment: Path, tmp_path: Path) -> None:
    allocator = ("-a", "phase21", "-p", "verify", "-s", "phase-report")
    done = in_an_empty_folder(tmp_path, command, "run", *allocator, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert '"verified": true' in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    where = in_an_empty_folder(tmp_path, command, "abi").stdout.strip()
    assert where == str(site_packages(environment) / "allocphase" / "driver" / "allocphase.h")


def test_the_installed_command_tests_itself(command: str, tmp_path: Path) -> None:
    """The plug-in that is slower by a known amount is compiled where it is wanted."""
    words = ("selftest", "--quick", "--max-rounds", "6", "--theta", "50%", "-s", "phase-report")
    done = in_an_empty_folder(tmp_path, command, *words, "--json", "trials.json")
    assert done.returncode == 0, done.stderr
    effects = json.loads((tmp_path / "trials.json").read_text("utf-8"))["effects"]
    assert [entry["effect"] for entry in effects] == [0.0, 0.05, 0.1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "trials.json"]


def test_without_a_compiler_the_self_test_says_what_it_wants(command: str, tmp_path: Path) -> None:
    done = in_an_empty_folder(tmp_path, command, "selftest", "--quick", path=str(tmp_path))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "compiler" in done.stderr


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """Of a tree that git has not: what is not in the archive is not needed."""
    make = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", make, str(tmp_path)], cwd=ROOT, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps"]
    subprocess.run([*command, "-w", str(tmp_path), str(archive)], check=True)
    (built,) = tmp_path.glob("*.whl")
    assert built.name == wheel.name
    assert _contents(built) == _contents(wheel)


def _contents(wheel: Path) -> dict[str, str]:
    """The digest of what is loaded of each file, by its name."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith("RECORD")
        }
