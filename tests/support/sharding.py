"""How pytest-xdist deals the tests out: by file, for what the tests of a file make once.

Not by its marks of groups: with pytest 9.2 those are lost without a word (xdist 3.8).
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

__all__ = ["FileScheduling"]

# Their tests share nothing, and each takes long.
ONE_BY_ONE = (
    "tests/fuzz/",
    "tests/benchmarks/",
    "tests/integration/test_gallery_elsewhere.py",
    "tests/integration/test_gate.py",
    "tests/integration/test_interruption.py",
    "tests/integration/test_restricted.py",
)


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """The tests of a file go to one process, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(ONE_BY_ONE) else nodeid.partition("::")[0]
