"""The probes: what one process measures, one by one since each disturbs the others.

To add one: a member here, its file in driver/probes, the shape of what it leaves in result.py, and
the metrics that it gives in analysis/metrics.py. Those of programs, which are run whole, are not
the driver's own: driver/program.c has them.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PROGRAM_PROBES", "TRACE_PROBES", "Probe"]


class Probe(StrEnum):
    """What one process measures, by the name that the driver knows it by."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    SYSCALLS = "syscalls"
    MEMORY = "memory"
    FOOTPRINT = "footprint"
    FAULTS = "faults"
    INSTRUCTIONS = "instructions"
    HARDWARE = "hardware"
    VERIFY = "verify"
    PROGRAM = "program"
    PROGRAM_MEMORY = "program_memory"
    PROGRAM_CALLS = "program_calls"
    PROGRAM_SYSCALLS = "program_syscalls"

    @property
    def of_programs(self) -> bool:
        """Whether it looks at a program, and not at a trace."""
        return self in (
            Probe.PROGRAM,
            Probe.PROGRAM_MEMORY,
            Probe.PROGRAM_CALLS,
            Probe.PROGRAM_SYSCALLS,
        )

    @property
    def usual(self) -> bool:
        """Whether it runs without being asked for: one that takes a tool or a processor's counters,
        which are not everywhere, or many times as long as the others, does not.
        """
        return self not in (Probe.INSTRUCTIONS, Probe.HARDWARE)

    @property
    def timed(self) -> bool:
        """Whether its figure is a time, or as little the same each time as one is: such a process
        runs in every round, and so does the floor's.
        """
        return self in (Probe.THROUGHPUT, Probe.LATENCY, Probe.HARDWARE, Probe.PROGRAM)

    @property
    def counts(self) -> bool:
        """Whether its figures are counts, which may differ from process to process: several of
        each cell tell.
        """
        return self in (
            Probe.SYSCALLS,
            Probe.MEMORY,
            Probe.FAULTS,
            Probe.INSTRUCTIONS,
            Probe.PROGRAM_MEMORY,
            Probe.PROGRAM_SYSCALLS,
            Probe.PROGRAM_CALLS,
        )

    @property
    def joined(self) -> bool:
        """Joined operation by operation, or counted: in each such process objects lie at the same
        addresses (address randomisation is off).
        """
        apart = (Probe.THROUGHPUT, Probe.HARDWARE, Probe.VERIFY)
        return not self.of_programs and self not in apart

    def needs_the_machine(self, threads: int) -> bool:
        """Whether such a process runs alone, in every round; `threads`: of its trace.

        What is resident depends on how far threads are apart, and that on the CPUs they have.
        """
        return self.timed or (self is Probe.MEMORY and threads > 1)


# Those that look at a trace unless others are asked for.
TRACE_PROBES = tuple(probe for probe in Probe if not probe.of_programs and probe.usual)
PROGRAM_PROBES = tuple(probe for probe in Probe if probe.of_programs)
