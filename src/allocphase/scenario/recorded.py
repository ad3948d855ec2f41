"""Recorded scenarios: a trace file, of a program's own calls or of another tool's.

    allocphase run -s app.trace              it describes itself, from what the recorder wrote in it

    title = "..."                            or a scenario's TOML file, with its four texts
    trace = "app.trace"                      beside it; .trace.zst is a packed one
    touch = "pages"                          instead of the trace's own
    mode = "paced"                           instead of as soon as it can
    [program]                                of what it was recorded, as in program.py, with a seed

Both may be set as parameters are: `-s 'app.trace?mode=asap,paced&touch=pages'`. What was recorded
is not made again: there is no seed, and there is nothing else to set.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.errors import UsageError, unknown
from allocphase.operation import MODES, TOUCHES
from allocphase.scenario.program import Program
from allocphase.spec import Spec, written
from allocphase.text.units import counted
from allocphase.trace.file import mapped, validate
from allocphase.trace.provenance import Provenance
from allocphase.trace.records import Touch, Trace, TraceError
from allocphase.trace.stored import replayed_digest, summary, unpacked_copy
from allocphase.trace.validated import Validation, label_text, read_validation

__all__ = ["Recorded", "recorded"]

# Checked in full before the driver does so again: longer ones would take gigabytes.
MAX_CHECKED = 1 << 24


@dataclass(frozen=True, slots=True)
class Recorded:
    """A scenario that is a trace file. `touch`, `work_ns` and `paced` are those of the replay;
    `changed` says that touch or pace is not the file's own. `provenance`, `validation`: None where
    the trace has none. `program`: what it was recorded of, where the scenario's file says it.
    """

    name: str
    title: str
    stands_for: str
    source: str
    does_not_show: str
    path: str
    touch: Touch
    changed: bool
    work_ns: int
    default: bool
    provenance: Provenance | None
    paced: bool
    validation: Validation | None
    program: Program | None

    @property
    def labels(self) -> tuple[str, ...]:
        """What was found when this replay was held against its program; none, if nobody did."""
        said = self.validation
        if said is None or said.touch != self.touch.name.lower():
            return ()
        return tuple(label_text(label) for label in said.labels if label.mode == self.mode)

    @property
    def replayed_text(self) -> str:
        """How it is replayed: "app: replayed paced, touch pages"."""
        return f"{self.name}: replayed {self.mode}, touch {self.touch.name.lower()}"

    @property
    def mode(self) -> str:
        """When a call is made: as soon as it can be, or after the gap that was recorded."""
        return MODES[self.paced]

    def with_parameters(self, changes: Mapping[str, object]) -> Recorded:
        """The same replayed in another way, named `name?mode=paced`. Raises UsageError for what
        cannot be set, and for what was not recorded.
        """
        where = f"scenario {self.name}"
        for key in changes:
            if key not in ("mode", "touch"):
                raise UsageError(f"{where}: a recording has mode and touch, and no {key!r}")
        head = summary(Path(self.path))
        mode, touch = str(changes.get("mode", self.mode)), changes.get("touch")
        if mode not in MODES:
            raise UsageError(f"{where}: {unknown('mode', mode, MODES)}")
        paced, wanted = mode == "paced", self.touch
        if touch is not None:
            if str(touch) not in TOUCHES:
                raise UsageError(f"{where}: {unknown('touch', str(touch), TOUCHES)}")
            wanted = TOUCHES[str(touch)]
        if paced and not head.has_gaps:
            raise UsageError(f"{where}: mode=paced: the trace has no recorded gaps")
        if wanted == Touch.RECORDED and not head.has_touched:
            raise UsageError(f"{where}: touch=recorded: what was touched was not recorded")
        before = Spec.of_scenario(self.name)
        keys = dict.fromkeys([*(setting.key for setting in before.settings), *changes])
        values = {"mode": mode, "touch": wanted.name.lower()}
        return replace(
            self,
            name=written(before.name, {key: values[key] for key in keys}),
            touch=wanted,
            paced=paced,
            changed=wanted != head.touch or paced,
        )

    def write(self, target: Path) -> str:
        """Writes the trace that is replayed, and returns its digest. Raises TraceError."""
        return unpacked_copy(Path(self.path), target, touch=self.touch, paced=self.paced)

    def digest(self) -> str:
        """SHA-256 of the trace that is replayed, in hex. Raises TraceError."""
        path = Path(self.path)
        if not self.changed:
            return summary(path).digest
        return replayed_digest(path, touch=self.touch, paced=self.paced)

    def read(self) -> Trace:
        """Its operations, memory-mapped; checked in full where they are not very many, and by the
        driver in any case. Raises TraceError.
        """
        try:
            trace = mapped(Path(self.path))
            if len(trace.ops) <= MAX_CHECKED:
                validate(trace)
        except OSError as error:
            raise TraceError(f"{self.path}: {error.strerror}") from None
        except UsageError as error:
            raise TraceError(f"{self.path}: {error}") from None
        return trace


def recorded(
    path: Path,
    *,
    name: str,
    texts: Mapping[str, str] | None = None,
    changes: Mapping[str, object] | None = None,
    default: bool = False,
    program: Program | None = None,
) -> Recorded:
    """The scenario that the trace in `path` is, by its header. texts: title, stands_for, source and
    does_not_show; without them it describes itself. changes: its own mode and touch. program: of
    which it was recorded. Raises TraceError that names the file, and as Recorded.with_parameters.
    """
    head = summary(path)
    found = Recorded(
        name=name,
        path=str(path.absolute()),
        touch=head.touch,
        changed=False,
        work_ns=head.work_ns,
        default=default,
        provenance=head.provenance,
        paced=False,
        validation=read_validation(path, head.digest),
        program=program,
        **(texts or _own_texts(path, head.provenance)),
    )
    return replace(found.with_parameters(changes), name=name) if changes else found


def _own_texts(path: Path, provenance: Provenance | None) -> dict[str, str]:
    if provenance is None:
        return {
            "title": f"The trace {path.name}",
            "stands_for": "The operations of a trace file, which says nothing of its origin.",
            "source": f"The file {path.name}.",
            "does_not_show": "Whatever the trace does not have.",
        }
    command = shlex.join(provenance.command)
    return {
        "title": f"Recorded: {command or path.name}",
        "stands_for": f"{_what(provenance, command)}.",
        "source": f"The file {path.name}: {provenance.origin}.",
        "does_not_show": "What the program does between its calls, and what its own accesses to its"
        " objects cost.",
    }


def _what(provenance: Provenance, command: str) -> str:
    text = f"The malloc calls of {command}" if command else "The malloc calls of a program"
    if provenance.recorded:
        text += f", recorded on {provenance.recorded[:10]}"
    if provenance.allocator:
        text += f" under {provenance.allocator}"
    return f"{text}: {counted(provenance.threads, 'thread')}"
