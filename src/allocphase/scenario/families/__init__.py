"""The generators of workloads, one noun a module: scenario files name them and their parameters.

To add one, write a module with a `Parameters` dataclass, a `draft` function and a `Family`, and
list the Family here. One with threads takes their number as `threads`, from 1 on, so that it can be
swept: docs/method.md says what each level's work is.
"""

from __future__ import annotations

from allocphase.scenario.families.aligned import ALIGNED
from allocphase.scenario.families.batch import BATCH
from allocphase.scenario.families.blocks import BLOCKS
from allocphase.scenario.families.blowup import BLOWUP
from allocphase.scenario.families.churn import CHURN
from allocphase.scenario.families.domains import DOMAINS
from allocphase.scenario.families.exchange import EXCHANGE
from allocphase.scenario.families.family import Family, ParameterError, Value, parameter
from allocphase.scenario.families.fleet import FLEET
from allocphase.scenario.families.growth import GROWTH
from allocphase.scenario.families.inverse import INVERSE
from allocphase.scenario.families.larson import LARSON
from allocphase.scenario.families.loops import LOOPS
from allocphase.scenario.families.pareto import PARETO
from allocphase.scenario.families.queue import QUEUE
from allocphase.scenario.families.replace import REPLACE
from allocphase.scenario.families.sawtooth import SAWTOOTH
from allocphase.scenario.families.sharing import SHARING
from allocphase.scenario.families.tagged import TAGGED
from allocphase.scenario.families.trimmed import TRIMMED
from allocphase.scenario.families.window import WINDOW
from allocphase.scenario.families.zeroed import ZEROED

__all__ = ["FAMILIES", "Family", "ParameterError", "Value", "parameter"]

_FAMILIES = (
    ALIGNED,
    BATCH,
    BLOCKS,
    BLOWUP,
    CHURN,
    DOMAINS,
    EXCHANGE,
    FLEET,
    GROWTH,
    INVERSE,
    LARSON,
    LOOPS,
    PARETO,
    QUEUE,
    REPLACE,
    SAWTOOTH,
    SHARING,
    TAGGED,
    TRIMMED,
    WINDOW,
    ZEROED,
)

FAMILIES: dict[str, Family] = {family.name: family for family in _FAMILIES}
