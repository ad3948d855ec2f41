"""Scenarios: what an allocator is asked to do, by TOML files and the families that they name.

    collection   the scenarios of the collection scenarios/, and what a command line makes of them
    families/    the ways to draw operations: a dataclass of parameters and a function
    recorded     those that are a trace file, of a program's calls
    program      those that are a command, run whole
    inputs       what such a command reads

Place in the pipeline: first. A scenario and its seed make a trace, or a program's files, and
nothing else.
"""

from __future__ import annotations

from allocphase.scenario.collection import (
    AnyScenario,
    Scenario,
    Traced,
    collected,
    digest_of,
    generate,
    is_paced,
    load,
    resolve,
)
from allocphase.scenario.program import Program, ad_hoc
from allocphase.scenario.recorded import Recorded

__all__ = [
    "AnyScenario",
    "Program",
    "Recorded",
    "Scenario",
    "Traced",
    "ad_hoc",
    "collected",
    "digest_of",
    "generate",
    "is_paced",
    "load",
    "resolve",
]
