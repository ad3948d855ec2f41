"""Commands with fewer rights: a container whose root is read-only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.plugins import ROOT

__all__ = ["read_only_prefix"]


def read_only_prefix(needs: Callable[..., None], trial_folder: Path) -> list[str]:
    """Goes in front of a folder and a command: only that folder can be written then."""
    namespaces = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    before = ["unshare", *namespaces, "sh", str(ROOT / "tests" / "support" / "readonly.sh")]
    trial = [*before, str(trial_folder), "true"]
    possible = subprocess.run(trial, capture_output=True).returncode == 0
    needs(possible, "mount namespaces", install="run as root, or allow user namespaces")
    return before
