"""What was found when a trace's replay was held against its program: a file beside the trace, whose
name ends in `.validation.json`. `allocphase validate` writes it; who replays the trace tells it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from allocphase.files.durable import write_whole
from allocphase.files.typed import Amount, load_json, plain

__all__ = ["EXACT", "Label", "Validation", "label_text", "read_validation", "write_validation"]

# Those that are exact or not, whatever the allocators differ in.
EXACT = ("calls", "live_bytes")
_LEAST_SHOWN = 1e-4
SUFFIX = ".validation.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Of one metric in one mode of replay. predicted: None where the program shows no difference
    between allocators (`within` is None too), or does not know one well enough; within: the largest
    error, a share; order: whether allocators come in the program's order, None where its
    differences are all chance. Of those in EXACT predicted is whether program and replay are the
    same, and within how far they are apart.
    """

    metric: str
    mode: str
    predicted: bool | None = None
    within: Amount | None = None
    order: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """digest: of the trace that was held against `program`; of another trace it says nothing, nor
    of a replay that touches memory in another way. allocators: of which it speaks, the first is
    what they were compared to.
    """

    schema: int = SCHEMA
    digest: str
    touch: str
    program: str
    recorded: str
    allocators: tuple[str, ...]
    rounds: int
    labels: tuple[Label, ...]


def write_validation(trace: Path, validation: Validation) -> Path:
    """Beside the trace; returns where. Raises AllocphaseError."""
    path = trace.with_name(trace.name + SUFFIX)
    text = json.dumps(plain(validation, defaults=True), indent=2, allow_nan=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))
    return path


def read_validation(trace: Path, digest: str) -> Validation | None:
    """None where there is none, or it is of another trace. Raises UsageError for a file that is
    none.
    """
    path = trace.with_name(trace.name + SUFFIX)
    if not path.exists():
        return None
    found = load_json(Validation, path, schema=SCHEMA, remedy="run allocphase validate again")
    return found if found.digest == digest else None


def label_text(label: Label) -> str:
    """ "time: predicted within 12%"."""
    if label.metric in EXACT and label.within is not None:
        apart = f"{label.within:.2%}" if label.within >= _LEAST_SHOWN else "less than 0.01%"
        words = "exact" if label.predicted else f"not exact, off by up to {apart}"
    elif label.within is None:
        words = "no difference told by the program, beyond its own spread"
    elif label.predicted is None:
        words = f"cannot tell, the program's own interval is wide (off by up to {label.within:.0%})"
    elif label.predicted:
        words = f"predicted within {label.within:.0%}"
    else:
        words = f"not predicted, off by up to {label.within:.0%}"
    wrong = ", in another order" if label.order is False else ""
    return f"{label.metric.replace('_', ' ')}: {words}{wrong}"
