"""What must be run so that every claim of a file can be judged."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from allocphase.claim.file import ClaimsFile
from allocphase.claim.finding import Need
from allocphase.probe.probe import Probe
from allocphase.spec import Spec, found_name

__all__ = ["Requirements", "requirements"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Specifications as `run` takes them, each once, in the order of the file.

    cells: (allocator, scenario, probe) by name: all that is needed, where the product of the three
    lists has more.
    """

    allocators: tuple[str, ...]
    scenarios: tuple[str, ...]
    probes: tuple[Probe, ...]
    cells: frozenset[tuple[str, str, Probe]]

    def cells_of(self, scenarios: Collection[str]) -> frozenset[tuple[str, str, Probe]]:
        """The cells by the names that the run's scenarios have (see spec.found_name)."""
        return frozenset(
            (allocator, found_name(scenario, scenarios) or scenario, probe)
            for allocator, scenario, probe in self.cells
        )


def requirements(file: ClaimsFile) -> Requirements:
    """All of it empty when every check is arithmetic.

    The verify probe is always among the needs: a cell that is no correct allocator has no
    figures worth judging.
    """
    needs: list[Need] = [
        need for claim in file.claims for check in claim.checks for need in check.needs
    ]
    if file.thesis is not None:
        needs += file.thesis.needs
    needs += [(cell, Probe.VERIFY) for cell, _ in needs]
    probes = {probe for _, probe in needs}
    return Requirements(
        allocators=_once(_spec(file, cell.allocator) for cell, _ in needs),
        scenarios=_once(cell.scenario for cell, _ in needs),
        probes=tuple(probe for probe in Probe if probe in probes),
        cells=frozenset((*cell.key, probe) for cell, probe in needs),
    )


def _spec(file: ClaimsFile, allocator: str) -> str:
    """The file's own objects are brought in as NAME=FILE."""
    spec = Spec.of_allocator(allocator)
    return str(replace(spec, file=spec.file or file.allocators.get(spec.name)))


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
