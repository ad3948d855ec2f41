"""An allocator behind the toll of slow.c: the same code whether it is made slower or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from allocphase import resources
from allocphase.allocator import Allocator
from allocphase.allocator.source import Source, compile_plugin

__all__ = ["behind_toll", "with_toll"]


def behind_toll(subject: Allocator) -> Allocator:
    """`subject` behind a toll of nothing. Raises UsageError where there is no C compiler.

    A plug-in is loaded by the toll's own; of a preload or libc the process's malloc is called, and
    the plug-in proves that it comes from there.
    """
    environment = dict(subject.environment)
    own = subject.config if subject.kind == "plugin" else {}  # of others it is in the environment
    if subject.kind == "plugin":
        environment["ALLOCPHASE_SLOW_PLUGIN"] = str(subject.path)
    elif subject.path is not None:
        environment["LD_PRELOAD"] = environment["ALLOCPHASE_SLOW_PROVIDER"] = str(subject.path)
    return Allocator(
        name=subject.name,
        title=subject.title,
        summary=f"{subject.summary} Behind a toll.",
        kind="plugin",
        path=compile_plugin(Source(path=resources.find("selftest/slow.c"), folder=Path.cwd())),
        config={**own, "iterations": "0"},
        environment=environment,
    )


def with_toll(
    subject: Allocator, *, iterations: int = 0, map_every: int = 0, spared: int = 0
) -> Allocator:
    """The same behind a dearer toll. map_every: calls to each extra mmap, 0 for none; spared: one
    process in so many makes none, 0 for all.
    """
    settings = {"iterations": iterations, "map_every": map_every, "spared": spared}
    config = {key: str(value) for key, value in settings.items()}
    return replace(subject, config={**subject.config, **config})
