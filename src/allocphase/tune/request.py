"""What somebody asks of a search, resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from allocphase.analysis.measures import Measure
from allocphase.gate.request import TIME_BUDGET_S
from allocphase.probe.probe import Probe
from allocphase.run.request import TIMEOUT_S, draw_seed
from allocphase.scenario import AnyScenario
from allocphase.tune.space import Space
from allocphase.tune.target import Bound

__all__ = ["TuneRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """What to search, for the least of which measure and within which bounds.

    theta: what is better by less does not count. time_budget_s: of the search and the gate
    together. max_rounds: of a session of the gate. kept_variables: as in Request.
    """

    space: Space
    scenario: AnyScenario
    minimize: Measure
    bounds: Sequence[Bound] = ()
    theta: float = 0.02
    time_budget_s: float = TIME_BUDGET_S
    max_rounds: int = 40
    timeout_s: float = TIMEOUT_S
    out: Path
    seed: int = field(default_factory=draw_seed)
    label: str = "tune"
    command: Sequence[str] = ()
    kept_variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def measures(self) -> list[Measure]:
        """What is minimised, and what is bounded."""
        return [self.minimize, *(bound.measure for bound in self.bounds)]

    @property
    def probes(self) -> list[Probe]:
        """The probes that these need, in the order of the enumeration."""
        needed = {measure.probe for measure in self.measures}
        return [probe for probe in Probe if probe in needed]
