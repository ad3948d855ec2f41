"""Runs a command with one of our plug-ins as its malloc."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from allocphase import resources
from allocphase.allocator import resolve

__all__ = ["TIMEOUT_S", "environment", "plugin_path", "run"]

TIMEOUT_S = 300.0


def plugin_path(name: str) -> Path:
    """The object of one of our allocators, as installed."""
    path = resolve(name)[0].path
    assert path is not None
    return path


def environment(plugin: Path | None, settings: str = "") -> dict[str, str]:
    """This process's environment; with a plug-in, what makes it malloc (driver/preload)."""
    added = {"LC_ALL": "C", "PYTHONHASHSEED": "0"}
    if plugin is not None:
        added |= {"LD_PRELOAD": str(resources.malloc_preload()), "ALLOCPHASE_PLUGIN": str(plugin)}
    if settings:
        added["ALLOCPHASE_PLUGIN_SETTINGS"] = settings
    return os.environ | added


def run(
    command: Sequence[str | Path],
    plugin: Path | None = None,
    settings: str = "",
    *,
    cwd: Path | None = None,
    more: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """The command's end; without a plug-in, on the malloc that it has anyway. `more`: variables."""
    return subprocess.run(
        [str(word) for word in command],
        env=environment(plugin, settings) | dict(more or {}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=cwd,
    )
