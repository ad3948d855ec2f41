"""The gallery in a process that was started with fewer rights: `python -m ... FOLDER [PROBE...]`.

All that is made lies in FOLDER. One line of JSON for each outcome goes to stdout, libc's among
them, which is a neighbour of all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from allocphase.files.typed import plain, read
from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.probe.result import Result
from allocphase.probe.status import Status
from allocphase.process.driver import DriverExecutor, Outcome
from tests.support.gallery import LIMITS, Key, faults, gallery_job, landlock, outcomes_of
from tests.support.plugins import Plugins

__all__ = ["NEIGHBOUR", "read_outcomes"]

NEIGHBOUR = "libc"


def main(folder: Path, probes: Sequence[Probe]) -> None:
    """Every fault that is kept in here, under these probes."""
    here = landlock()
    keys = [(fault, probe) for fault in faults() if fault.is_kept_in(here) for probe in probes]
    job = gallery_job(folder)
    for (name, probe), outcome in outcomes_of(keys, Plugins(folder), job).items():
        print(_line(name, probe, outcome))
    for probe in probes:
        outcome = DriverExecutor(limits=LIMITS).run(replace(job, probe=probe))
        print(_line(NEIGHBOUR, probe, outcome))


def _line(name: str, probe: Probe, outcome: Outcome) -> str:
    said = {"status": outcome.status, "message": outcome.message, "result": plain(outcome.result)}
    return json.dumps({"name": name, "probe": probe, **said})


def read_outcomes(text: str) -> Iterator[tuple[Key, Outcome]]:
    """What another process has printed, without arrays."""
    for line in text.splitlines():
        said = json.loads(line)
        yield (
            (said["name"], Probe(said["probe"])),
            Outcome(
                status=Status(said["status"]),
                message=said["message"],
                wall_s=0.0,
                result=read(Result, said["result"]),
            ),
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Probe(name) for name in sys.argv[2:]] or list(TRACE_PROBES))
