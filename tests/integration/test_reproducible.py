"""The same sources, built in another folder: the same digests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from allocphase import resources
from allocphase.allocator import Allocator
from allocphase.files.elf import loaded_sha256
from tests.support.plugins import ROOT

# The driver, an allocator of one file, and one that includes others' headers.
TARGETS = ("allocphase-driver", "null", "phase2")


def built(folder: Path, build: str) -> dict[str, Path]:
    """The targets by name, built from a copy of the checkout in `folder`."""
    for part in ("driver", "allocators"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copy(ROOT / "CMakeLists.txt", folder)
    configure = ["cmake", "-S", str(folder), "-B", str(folder / build)]
    subprocess.run([*configure, "-DCMAKE_BUILD_TYPE=Release"], check=True, capture_output=True)
    command = ["cmake", "--build", str(folder / build), "-j2", "--target", *TARGETS]
    subprocess.run(command, check=True, capture_output=True)
    paths = (folder / build / name for name in TARGETS)
    return {path.name: path if path.exists() else path.with_suffix(".so") for path in paths}


def test_a_build_in_another_folder_has_the_digests_of_the_installed_one_and_no_path_of_its_own(
    tmp_path: Path, needs: Callable[..., None], installed: Callable[[str], Allocator]
) -> None:
    needs(shutil.which("cmake"), "cmake", install="apt-get install cmake")
    here = {name: installed(name).path for name in TARGETS[1:]}
    here[TARGETS[0]] = resources.find(f"driver/{TARGETS[0]}")
    there = built(tmp_path / "a checkout elsewhere", "out/of sight")
    for name, path in there.items():
        assert os.fsencode(tmp_path) not in path.read_bytes(), name  # debug information too
        known = here[name]
        assert known is not None
        assert loaded_sha256(path) == loaded_sha256(known), name
