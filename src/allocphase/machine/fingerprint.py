"""Which machine a figure belongs to: the facts that move figures, and where two of them differ.

The facts are those of environment.py, and the digest of the driver. They come in groups, of the
first three each has all of the one before it:

    CALL_FACTS          what decides which system calls are made
    MEMORY_FACTS        and how much memory they bring, page by page
    TIME_FACTS          and how long all of it takes
    INSTRUCTION_FACTS   CALL_FACTS, and what decides which instructions run under valgrind
    SIMULATION_FACTS    INSTRUCTION_FACTS, and which caches valgrind simulates

docs/schema.md says of each what it moves. Not among them: the load, which changes by the minute,
and memory, which balloons in a guest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allocphase import resources
from allocphase.files.elf import loaded_sha256
from allocphase.machine.environment import environment
from allocphase.text.line import plain

__all__ = [
    "CALL_FACTS",
    "FACTS",
    "INSTRUCTION_FACTS",
    "MEMORY_FACTS",
    "SIMULATION_FACTS",
    "TIME_FACTS",
    "differences",
    "driver_sha256",
    "fact_text",
    "fingerprint",
    "machine_facts",
]

# Allocators ask for CPUs, page size, overcommitment and huge pages, and act on the answers.
CALL_FACTS = (
    "machine",
    "cpus",
    "kernel",
    "libc",
    "libc_sha256",
    "page_bytes",
    "transparent_huge_pages",
    "overcommit",
    "aslr",
    "tuning",
    "driver",
)
MEMORY_FACTS = (*CALL_FACTS, "huge_page_defrag", "huge_page_shmem", "huge_page_sizes")
TIME_FACTS = (
    *MEMORY_FACTS,
    "cpu",
    "chip",
    "microcode",
    "cores",
    "smt",
    "cpu_quota",
    "virtual",
    "governor",
    "boost",
    "mitigations",
)
# Of no time: nothing that is timed runs under valgrind.
INSTRUCTION_FACTS = (*CALL_FACTS, "valgrind", "valgrind_cpu")
SIMULATION_FACTS = (*INSTRUCTION_FACTS, "simulated_caches")
FACTS = tuple(dict.fromkeys((*TIME_FACTS, *SIMULATION_FACTS)))
_DIGEST_LETTERS = 64
_SHOWN_LETTERS = 12
# Twice what a kernel says of its mitigations; the fact may be of a file from elsewhere.
_MOST_LETTERS = 240


def fingerprint(
    tuning: Mapping[str, object] | None = None, *, simulated_caches: str | None = None
) -> dict[str, Any]:
    """Every fact of this machine and of the installed driver. tuning, simulated_caches: as of
    `environment`.

    Raises AllocphaseError when the driver is not installed.
    """
    facts = environment(tuning=tuning, simulated_caches=simulated_caches)
    return machine_facts(facts, driver=driver_sha256())


def machine_facts(environment: Mapping[str, Any], *, driver: str) -> dict[str, Any]:
    """The facts among a run's `environment`, and its driver's digest; None for what it lacks."""
    return {fact: {**environment, "driver": driver}.get(fact) for fact in FACTS}


def driver_sha256() -> str:
    """Digest of what is loaded of the installed driver: another replay loop has other times."""
    return loaded_sha256(resources.find("driver/allocphase-driver"))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """By fact that differs, a line that says how: "cpus: 1 then, 2 now"."""
    return {
        fact: f"{fact}: {_brief(before.get(fact))} then, {_brief(after.get(fact))} now"
        for fact in dict.fromkeys([*before, *after])
        if before.get(fact) != after.get(fact)
    }


def fact_text(value: object) -> str:
    """A fact's value for a reader: "2048kB: inherit, 64kB: always"; "not known" for None."""
    if value is None:
        return "not known"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {text}" for key, text in value.items()) or "none"
    return str(value)


def _brief(value: object) -> str:
    text = plain(fact_text(value))
    if len(text) > _MOST_LETTERS:
        return f"{text[: _MOST_LETTERS - 3]}..."
    return text[:_SHOWN_LETTERS] if len(text) == _DIGEST_LETTERS else text
