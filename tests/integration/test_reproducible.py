"""The same sources, built in two folders: the same bytes, and so the same digests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

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


def test_a_build_in_another_folder_has_the_same_digests_and_no_path_of_either(
    tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs(shutil.which("cmake"), "cmake", install="apt-get install cmake")
    one = built(tmp_path / "one", "build")
    other = built(tmp_path / "a checkout elsewhere", "out/of sight")
    for name, path in one.items():
        content = path.read_bytes()
        assert os.fsencode(tmp_path) not in content, name
        assert content == other[name].read_bytes(), name  # debug information and build ID too
        assert loaded_sha256(path) == loaded_sha256(other[name]), name
