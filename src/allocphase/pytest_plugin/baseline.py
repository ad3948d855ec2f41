"""What a saved benchmark file must share with this session before its times mean anything.

The machine is checked when the file is loaded, before anything is measured; the scenario when
its test starts, for only then is it known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

__all__ = ["DIGESTS", "DIGEST_KEY", "MACHINE_KEY", "fingerprint", "refusal", "scenario_digests"]

# Under this key of pytest-benchmark's machine_info lies the fingerprint.
MACHINE_KEY = "allocphase"
# Every cell has it in its extra_info: it tells cells from other benchmarks.
DIGEST_KEY = "scenario_digest"
# Each compared file's scenario digests, by the test's full name.
DIGESTS = pytest.StashKey[list[dict[str, str]]]()


def fingerprint() -> dict[str, Any]:
    """What times depend on of the machine, and the driver's digest, ready for JSON.

    Raises AllocphaseError when the driver is not installed.
    """
    from allocphase.machine import fingerprint

    here = fingerprint.fingerprint()
    return {fact: here[fact] for fact in fingerprint.TIME_FACTS}


def scenario_digests(saved: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each cell's trace in a saved file, by full test name; empty without cells."""
    infos = {bench["fullname"]: bench.get("extra_info", {}) for bench in saved["benchmarks"]}
    return {name: info[DIGEST_KEY] for name, info in infos.items() if DIGEST_KEY in info}


def refusal(here: Mapping[str, Any], saved: Mapping[str, Any], *, way_out: str) -> str | None:
    """Why the times of `saved` cannot be compared with this machine's, None when they can.

    `here`: pytest-benchmark's machine_info of this session. `way_out`: the option that overrides.
    """
    found = _differences(saved["machine_info"].get(MACHINE_KEY), here.get(MACHINE_KEY, {}))
    if not found:
        return None
    return (
        f"the baseline of {saved.get('datetime', 'unknown date')} is of another machine or driver, "
        f"its times cannot be compared: {'; '.join(found)}. Save one here "
        f"(--benchmark-save=NAME), let `allocphase gate` run both sides on this machine, or "
        f"pass {way_out}"
    )


def _differences(there: Mapping[str, Any] | None, here: Mapping[str, Any]) -> list[str]:
    from allocphase.machine.fingerprint import differences

    if there is None:
        return ["it has no fingerprint"]
    return list(differences(there, here).values())
