"""The generators of workloads, one noun a module: scenario files name them and their parameters.

To add one, write a module with a `Parameters` dataclass, a `draft` function and a `Family`, and
list the Family here.
"""

from __future__ import annotations

from allocphase.families.aligned import ALIGNED
from allocphase.families.batch import BATCH
from allocphase.families.blocks import BLOCKS
from allocphase.families.blowup import BLOWUP
from allocphase.families.churn import CHURN
from allocphase.families.domains import DOMAINS
from allocphase.families.exchange import EXCHANGE
from allocphase.families.family import Family, ParameterError, Value, parameter
from allocphase.families.fleet import FLEET
from allocphase.families.growth import GROWTH
from allocphase.families.inverse import INVERSE
from allocphase.families.larson import LARSON
from allocphase.families.loops import LOOPS
from allocphase.families.pareto import PARETO
from allocphase.families.queue import QUEUE
from allocphase.families.replace import REPLACE
from allocphase.families.sawtooth import SAWTOOTH
from allocphase.families.sharing import SHARING
from allocphase.families.tagged import TAGGED
from allocphase.families.trimmed import TRIMMED
from allocphase.families.window import WINDOW
from allocphase.families.zeroed import ZEROED

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
