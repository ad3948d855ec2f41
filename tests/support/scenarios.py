"""Scenarios that a family makes: most of the collection, and what tests of traces want."""

from __future__ import annotations

from pathlib import Path

from allocphase.process.driver import Job, TraceJob
from allocphase.scenario import AnyScenario, Scenario, load, resolve
from tests.support.plugins import ROOT

__all__ = ["TRACED", "load_traced", "resolve_traced", "trace_of", "traced"]


def traced(found: AnyScenario) -> Scenario:
    assert isinstance(found, Scenario), f"{found.name} is of no family"
    return found


def load_traced(path: Path) -> Scenario:
    return traced(load(path))


def resolve_traced(spec: str) -> list[Scenario]:
    return [traced(found) for found in resolve(spec)]


def trace_of(job: Job) -> Path:
    assert isinstance(job, TraceJob), f"{job.scenario} is a program"
    return job.trace


# The files of the collection's own.
TRACED = [p for p in sorted((ROOT / "scenarios").glob("*.toml")) if isinstance(load(p), Scenario)]
