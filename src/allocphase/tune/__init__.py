"""Which settings of an allocator are best for a workload? A search, and a gate of what it found.

Place in the pipeline: beside selftest, above gate: it runs and judges.

    space       the settings to try: those of a specification, or what an allocator.toml suggests
    target      what is minimised, and under which bounds
    request     what is asked of a search
    figures     the values of every arm, round by round, out of process records
    halving     where the arms stand after some rounds, and which of them go on
    search      one session: rounds of those that are left
    tuning      the search, the gate of its winner against the default, and the answer
    document    the answer, and tune.json
    text        the same for a terminal
"""

from __future__ import annotations

from allocphase.tune.document import Answer, Tuning
from allocphase.tune.request import TuneRequest
from allocphase.tune.space import Space, space_of
from allocphase.tune.target import Bound, read_bound, target_measure
from allocphase.tune.tuning import run_tune

__all__ = [
    "Answer",
    "Bound",
    "Space",
    "TuneRequest",
    "Tuning",
    "read_bound",
    "run_tune",
    "space_of",
    "target_measure",
]
