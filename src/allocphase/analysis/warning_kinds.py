"""All that a cell can be warned of, as values: a kind, and the figures that it was seen with.

The sentences stand here and nowhere else. Warnings of one kind about several cells are one sentence
with ranges for figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from allocphase.text.units import plural

__all__ = ["CellWarning", "Kind", "sentence"]


class Kind(Enum):
    """The sentence of each; {0}, {1}, ... are the figures, in the units that follow them.

    "{0:g#page}" is a number with what it counts, "1 page", "2 pages", and "{0:#page was|pages
    were}" is one with more that depends on it.
    """

    EMULATED = "{words}: absent, emulated by the driver from malloc and free"
    LOCKED = "not thread-safe: every call went through one lock of the driver"
    UNCONFORMING = "conformance: {words}; the scenario does not use it"
    SKIPPED = (
        "{0:,#free from a foreign domain was|frees from a foreign domain were} skipped: this"
        " allocator knows no domains; they count as operations"
    )
    SLOW = "slow: a replay takes more than two seconds, so one process had to do: no interval"
    TAMPERED = "the allocator changed its process ({words}): figures may depend on that"
    LEFT = "it left processes running, which were ended: what they did is in no figure"
    OUTPUT_VARIES = "its output was not the same each time: whether it is right is not known"
    OUTPUT_DIFFERS = "its output is another than under {words}: one of the two is wrong"
    IGNORED = "setting {words}: this build knows nothing of it: figures are those without it"
    SAID = "on stderr, with its settings: {words}"
    INTERPOSES = (
        "it takes the place of libc's {words}: the driver uses its own, but programs that preload"
        " it get these"
    )
    BELOW_FLOOR = (
        "time: {0:.3g} ns an operation, less than the {1:.3g} ns of an allocator that does nothing:"
        " a few per cent are noise and where code lies, more cannot be"
    )
    LACKING = "not to be had here: {words}"
    INTERRUPTED = "a timed process was interrupted {0} times: the machine was not idle"
    LOAD = (
        "load: other processes used up to {0:.0f}% of a CPU meanwhile ({1} of {2:#timed process})"
    )
    STEAL = (
        "steal: the hypervisor took up to {0:.0f}% of a CPU for other guests"
        " ({1} of {2:#timed process})"
    )
    STALLED = (
        "memory: something waited for memory up to {0:.0f}% of the time ({1} of {2:#timed process})"
    )
    SWAPPED = "swap: the machine swapped up to {0:g#page} meanwhile ({1} of {2:#timed process})"
    THROTTLED = "heat: the CPU was throttled up to {0:g#time} meanwhile ({1} of {2:#timed process})"
    SUSPENDED = (
        "suspension: the machine slept for up to {0:g} s meanwhile ({1} of {2:#timed process})"
    )
    CLOCK_RATE = "the CPU's clock ran at {0:.2f} GHz after one timed process, {1:.2f} after another"
    TRACED = "a debugger or tracer was attached to {0} of {1:#process}"
    CLOCK_FLOOR = "p50 of {words} is near the clock's own {0:.0f} ns: a floor"
    SLOW_MEMORY = (
        "memory: its pass took {0:.1f} times as long as the timed one: what is given back by the"
        " clock was given back earlier"
    )
    HELPER_THREADS = "runs {0:#thread} of its own: their system calls are not counted"
    HELPERS = (
        "its own threads and children used {0:.3g} ns of CPU an operation beside the trace's"
        " {1:.3g} ns"
    )
    LET_THROUGH = (
        "started {0:#thread or process|threads or processes}: system calls after that, up to the"
        " end of the same"
        " operation, are not counted (--syscall-backend ptrace sees them)"
    )
    CONDENSED = (
        "latency by call is of {0} of {1} processes, those of the first round: of the others a gate"
        " keeps malloc's quantiles alone"
    )
    LOST = (
        "{0:#event beyond the log's capacity was|events beyond the log's capacity were} counted,"
        " not attributed"
    )
    UNREACHED = (
        "the allocator did not get into {words}: linked statically, or started without its"
        " environment. Their malloc is another one, and their calls are not counted"
    )
    OWN_MEMORY = (
        "most of the memory of {words} is not malloc's: {0:.0f} MB of it were resident and of no"
        " file, and malloc had handed out {1:.0f} MB at most. Is an allocator of its own linked in?"
    )
    OWN_NEW = (
        "operator new of {words} is its own, as where libstdc++ is linked statically: it calls"
        " malloc, but new and sized delete of the allocator are bypassed"
    )


@dataclass(frozen=True, slots=True)
class CellWarning:
    """`words`: names that the sentence has; of other words it is another warning."""

    kind: Kind
    figures: tuple[float, ...] = ()
    words: str = ""

    @property
    def text(self) -> str:
        """The sentence."""
        return sentence([self])


def sentence(warnings: Sequence[CellWarning]) -> str:
    """One sentence for warnings of one kind and the same words; figures that differ, as ranges."""
    first = warnings[0]
    ranges = [
        _Range(min(values), max(values))
        for values in zip(*(one.figures for one in warnings), strict=True)
    ]
    return first.kind.value.format(*ranges, words=first.words)


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        spec, _, noun = spec.partition("#")
        low, high = format(self.low, spec), format(self.high, spec)
        text = low if low == high else f"{low} to {high}"
        if not noun:
            return text
        singular, _, more = noun.partition("|")
        is_one = self.high == 1
        return f"{text} {singular if is_one else more or plural(singular, self.high)}"
