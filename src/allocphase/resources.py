"""Where the collections lie: allocators/, scenarios/, reports/, claims/ and the built driver.

A plain install has them all inside the package. An editable install has its Python and TOML
files in the checkout and what CMake built in site-packages; `allocphase.__path__` then lists
both, so a look-up asks each root in turn.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import allocphase
from allocphase.errors import AllocphaseError
from allocphase.files.regular import read_regular_text

__all__ = ["collection_folders", "find", "folders", "malloc_preload", "read_resource"]

MAX_BYTES = 1 << 20


def folders(name: str) -> list[Path]:
    """Every existing folder `name` (such as "scenarios") of the package, in order of look-up."""
    roots = (Path(root) / name for root in allocphase.__path__)
    return [root for root in roots if root.is_dir()]


def collection_folders(name: str) -> list[Path]:
    """The package's own folders, then those that other packages register.

    An entry point of the group `allocphase.<name>` is a folder, or a function that returns one.
    """
    values = [entry.load() for entry in entry_points(group=f"allocphase.{name}")]
    return folders(name) + [Path(value() if callable(value) else value) for value in values]


def find(relative: str) -> Path:
    """The installed file `relative`, such as "driver/allocphase.h".

    Raises AllocphaseError when no root has it: the installation is incomplete.
    """
    for root in allocphase.__path__:
        path = Path(root) / relative
        if path.exists():
            return path
    raise AllocphaseError(
        f"{relative} is not in the installed package: install it again with `pip install .`"
    )


def malloc_preload() -> Path:
    """The library that, preloaded, makes a plug-in the malloc of a program.

    It is told which one by its environment: driver/preload/malloc.c. Raises AllocphaseError as
    `find` does.
    """
    return find("driver/liballocphase-malloc.so")


def read_resource(relative: str) -> str:
    """The text of an installed file. Raises AllocphaseError as `find` does, OSError."""
    return read_regular_text(find(relative), MAX_BYTES, follow=True)
