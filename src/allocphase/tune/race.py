"""The arms of a search while they are halved: who is left, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from allocphase.allocator import Allocator
from allocphase.analysis.measures import Measure
from allocphase.errors import NothingMeasuredError
from allocphase.judge.counted import AGREEING
from allocphase.probe.probe import Probe
from allocphase.stats.values import agree, median, present
from allocphase.store.record import ProcessRecord
from allocphase.tune.document import WORSE, ArmEntry
from allocphase.tune.figures import Figures
from allocphase.tune.halving import (
    Holding,
    Standing,
    holding,
    paired_ratio,
    ranked,
    survivors,
)
from allocphase.tune.request import TuneRequest

__all__ = ["Race"]


@dataclass(slots=True)
class Race:
    """The arms, by name, while they are halved. dropped: why one did not go on."""

    request: TuneRequest
    figures: Figures
    rounds: int = 0
    alive: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    rounds_of: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.alive = list(self.arms)

    @property
    def arms(self) -> dict[str, Allocator]:
        """By name, all of them, the default's aside."""
        return {arm.name: arm for arm in self.request.space.arms}

    @property
    def default(self) -> str:
        """The default's name."""
        return self.request.space.default.name

    def took(self, records: Sequence[ProcessRecord]) -> int:
        """Takes a round of those that are left. How many of them failed in it, which are dropped:
        one that does not end would cost its timeout in every round. Raises NothingMeasuredError
        where the default failed.
        """
        self.figures.add(records)
        self.rounds += 1
        if (bad := self.figures.failure(self.default)) is not None:
            problem = f"{bad.scenario}, {bad.probe}: {bad.status}: {bad.message}"
            raise NothingMeasuredError(f"the default, {self.default}, on {problem}")
        self.rounds_of |= dict.fromkeys(self.alive, self.rounds)
        failed = {name: bad for name in self.alive if (bad := self.figures.failure(name))}
        for name, bad in failed.items():
            self._drop(name, f"{bad.probe}: {bad.status}: {bad.message}")
        return len(failed)

    def standings(self) -> list[Standing]:
        """Of those that are left, the best first."""
        return ranked([self.standing(name) for name in self.alive])

    def standing(self, name: str) -> Standing:
        """Where an arm stands after its rounds."""
        rounds, goal = self.rounds_of.get(name, 0), self.request.minimize
        arm, default = self.arms[name], self.request.space.default
        changed = arm.config.items() - default.config.items()
        passed = arm.environment.items() - default.environment.items()
        return Standing(
            arm=name,
            settings=max(len(changed), len(passed)),
            ratio=paired_ratio(
                self.figures.of(name, goal, rounds=rounds),
                self.figures.of(self.default, goal, rounds=rounds),
            ),
            bounds=self._bounds(name, rounds),
        )

    def _bounds(self, name: str, rounds: int) -> dict[str, Holding]:
        found = {}
        for bound in self.request.bounds:
            own = self.figures.of(name, bound.measure, rounds=rounds)
            default = self.figures.of(self.default, bound.measure, rounds=rounds)
            most = bound.limit * default if bound.relative else 0.0 * default + bound.limit
            exact = not bound.measure.timed and agree(present(own))
            found[bound.text] = holding(own, most, exact=exact)
        return found

    def drop_broken(self) -> int:
        """Drops those that break a bound for certain; returns how many."""
        broken = [one for one in self.standings() if one.broken]
        for one in broken:
            self._drop(one.arm, f"breaks {', '.join(one.broken)}")
        return len(broken)

    def drop_worse_half(self, stage: int) -> int:
        """Returns how many."""
        worse = self.standings()[survivors(len(self.alive)) :]
        for one in worse:
            self._drop(one.arm, f"{WORSE} after stage {stage}")
        return len(worse)

    @property
    def open_probes(self) -> list[Probe]:
        """The probes of which more rounds may say something new; not of counts, where each is the
        same in all processes of its arm.
        """
        found = {one.probe for one in self.request.measures if not self._is_told(one)}
        return [probe for probe in self.request.probes if probe in found]

    def _is_told(self, measure: Measure) -> bool:
        if measure.timed:
            return False
        arms = [self.default, *self.alive]
        counts = [present(self.figures.of(arm, measure, rounds=self.rounds)) for arm in arms]
        return all(one.size >= AGREEING and agree(one) for one in counts)

    def default_medians(self) -> dict[str, float]:
        """What the default has of each measure, by its name."""
        return {
            measure.name: median(self.figures.of(self.default, measure, rounds=self.rounds))
            for measure in self.request.measures
        }

    def entries(self) -> tuple[ArmEntry, ...]:
        """What is told of every arm, in the order of the space."""
        return tuple(self._entry(arm, self.standing(arm.name)) for arm in self.arms.values())

    def _entry(self, arm: Allocator, standing: Standing) -> ArmEntry:
        return ArmEntry(
            name=arm.name,
            config=arm.config,
            environment=arm.environment,
            rounds=self.rounds_of.get(arm.name, 0),
            ratio=standing.ratio,
            bounds={text: found is Holding.KEPT for text, found in standing.bounds.items()},
            dropped=self.dropped.get(arm.name, ""),
        )

    def _drop(self, name: str, reason: str) -> None:
        self.dropped[name] = reason
        self.alive.remove(name)
