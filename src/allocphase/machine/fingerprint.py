"""Which machine a figure belongs to: the facts that move times, and where two of them differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allocphase import resources
from allocphase.files.elf import loaded_sha256

__all__ = ["MACHINE_FACTS", "differences", "driver_sha256", "machine_facts"]

# Not among them: the load, which changes by the minute, and memory, which balloons in a guest.
MACHINE_FACTS = (
    "cpu",
    "machine",
    "cpus",
    "virtual",
    "governor",
    "kernel",
    "libc",
    "page_bytes",
    "transparent_huge_pages",
    "aslr",
    "tuning",
)


def machine_facts(environment: Mapping[str, Any]) -> dict[str, Any]:
    """The facts among a run's `environment`; None for one that it lacks."""
    return {fact: environment.get(fact) for fact in MACHINE_FACTS}


def driver_sha256() -> str:
    """Digest of what is loaded of the installed driver: another replay loop has other times."""
    return loaded_sha256(resources.find("driver/allocphase-driver"))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """One line for each fact that differs; empty: times can be compared."""
    return [
        f"{fact}: {before.get(fact)} then, {after.get(fact)} now"
        for fact in dict.fromkeys([*before, *after])
        if before.get(fact) != after.get(fact)
    ]
