"""`allocphase --version --json`: what a report of a defect, or a fleet's other end, has to know."""

from __future__ import annotations

import platform
import re
from importlib.util import find_spec
from typing import Any

__all__ = ["facts"]

# By extra, a module that it installs.
_EXTRAS = {"pytest": "pytest_benchmark", "docs": "sphinx"}


def facts() -> dict[str, Any]:
    """version: of the package. driver_sha256: of what is loaded of the driver. abi: the plug-in
    interface's version. schemas: of the files that are written. features: what this installation
    can do with what lies beside it. Raises AllocphaseError where it is not whole.
    """
    from allocphase import __version__, resources
    from allocphase.machine.fingerprint import driver_sha256
    from allocphase.machine.valgrind import valgrind_version
    from allocphase.store.manifest import SCHEMA
    from allocphase.trace.records import VERSION as TRACE_VERSION

    header = resources.read_resource("driver/allocphase.h")
    abi = re.search(r"#define ALLOCPHASE_ABI_VERSION (\d+)u", header)
    assert abi is not None
    return {
        "version": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "driver_sha256": driver_sha256(),
        "abi": int(abi[1]),
        "schemas": {"run": SCHEMA, "trace": TRACE_VERSION},
        "features": {
            "valgrind": valgrind_version(),
            **{extra: find_spec(module) is not None for extra, module in _EXTRAS.items()},
        },
    }
