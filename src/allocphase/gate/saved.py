"""Gating against a saved baseline: each figure where the facts that it depends on are the same.

Saving measures the allocator alone, in as many rounds as a gate may have, so that each round of a
candidate has a partner. The rounds are of different sessions: what a session's processes share
does not cancel, there is no twin, and a drift of the machine between the two looks like a change.
So a time is advice unless the user gives it a limit. The baseline and the candidate side by side
see more; a saved baseline is for when the baseline's object is no longer at hand.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from allocphase.allocator import Allocator
from allocphase.analysis.comparable import Replayed
from allocphase.errors import NothingMeasuredError
from allocphase.gate.arms import Arms, describe_arm, fresh_copies
from allocphase.gate.baseline import Baseline, SavedScenario, load_baseline, saved_values
from allocphase.gate.request import GateRequest, SavedArm
from allocphase.gate.rounds import measure_alone
from allocphase.judge import Evidence
from allocphase.machine.fingerprint import differences, fingerprint
from allocphase.probe.probe import Probe
from allocphase.process.driver import Executor
from allocphase.run.progress_bar import Progress
from allocphase.run.request import Request
from allocphase.scenario import AnyScenario, Program, digest_of

__all__ = ["COUNTING_PROBES", "USUAL_PROBES", "against_saved", "measure_baseline"]

USUAL_PROBES = tuple(probe for probe in Probe if probe.usual and probe is not Probe.VERIFY)
# What a busy machine cannot disturb.
COUNTING_PROBES = tuple(probe for probe in Probe if probe.counts)


def against_saved(
    request: GateRequest, name: str, folder: Path, *, allow_mismatch: bool
) -> GateRequest:
    """The request with a saved baseline instead of a baseline arm.

    What does not hold on this machine is left out, and the verdict says why; with `allow_mismatch`
    it is measured and shown as advice. Raises NothingMeasuredError for a baseline that is missing
    or lacks a scenario, ScenarioChangedError for a scenario that is another now.
    """
    saved = load_baseline(name, folder)
    saved.check_scenarios(replayed(request.scenarios))
    arm = SavedArm(
        values=saved.values,
        rounds=saved.rounds,
        allocator=saved.allocator,
        note=f"baseline {name!r}: {saved.allocator.name}, saved {saved.saved}; it has no twin",
        differing=differences(saved.fingerprint, _facts(request)),
        allow_mismatch=allow_mismatch,
    )
    return replace(request, saved=arm)


def replayed(scenarios: Sequence[AnyScenario]) -> dict[str, Replayed]:
    """What would be replayed of each scenario now, by name."""
    return {one.name: Replayed(digest_of(one), _work_ns(one)) for one in scenarios}


def _work_ns(scenario: AnyScenario) -> int:
    """A program has its own."""
    return 0 if isinstance(scenario, Program) else scenario.work_ns


def measure_baseline(
    request: Request,
    executor: Executor,
    *,
    name: str,
    arm: Allocator,
    progress: Progress,
    probes: Sequence[Probe] = USUAL_PROBES,
) -> Baseline:
    """Measures `arm` for a baseline of that name. Raises NothingMeasuredError when a cell fails.

    `request` says what and how often; its allocators are set here.
    """
    with fresh_copies(Arms(None, arm), request.out, twin=False) as copies:
        inner = replace(request, allocators=copies.arms, probes=probes)
        evidence = measure_alone(inner, executor, copies, progress=progress)
    for failure in evidence.failures():
        problem = f"{failure.scenario}, {failure.probe}: {failure.status}: {failure.message}"
        raise NothingMeasuredError(f"{arm.name} on {problem}")
    return Baseline(
        name=name,
        saved=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        allocator=describe_arm(arm),
        fingerprint=_facts(request),
        scenarios={one.name: _entry(evidence, one) for one in request.scenarios},
    )


def _facts(request: Request | GateRequest) -> dict[str, Any]:
    return fingerprint(request.kept_variables, simulated_caches=request.simulated_caches or None)


def _entry(evidence: Evidence, scenario: AnyScenario) -> SavedScenario:
    values = saved_values(evidence, scenario.name)
    return SavedScenario(digest=digest_of(scenario), work_ns=_work_ns(scenario), values=values)
