"""Scenarios: what an allocator is asked to do, by TOML files and the families that they name.

    collection   the scenarios of the collection scenarios/, and what a command line makes of them
    families/    the ways to draw operations: a dataclass of parameters and a function

Place in the pipeline: first. A scenario and its seed make a trace, and nothing else.
"""

from __future__ import annotations

from allocphase.scenario.collection import Scenario, collected, generate, load, resolve

__all__ = ["Scenario", "collected", "generate", "load", "resolve"]
