"""What a run keeps of its failed processes, where it was asked to: enough to repeat each.

    failed/0.trace             of scenario 0: the file of traces/, under a second name
    failed/mine-0123abcd.so    a plug-in that was compiled for this run: its cache may be emptied
    failed/12/repeat.txt       of process 12: what happened, the operations before, and the commands

A command runs in the process's own folder, which gets its files then.

Place in the pipeline: used by session, as each process ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from allocphase.allocator import Allocator
from allocphase.files.durable import copy_whole, keep_file, named_errors, write_text
from allocphase.files.regular import refuse_linked_folder
from allocphase.process.driver import Failure, Outcome, TraceJob
from allocphase.process.progress import FaultyOperation
from allocphase.process.repetition import repetitions
from allocphase.store.record import repeat_file
from allocphase.text.line import plain
from allocphase.trace.excerpt import excerpt
from allocphase.trace.records import TraceError

__all__ = ["keep_failed"]

_MARK = "-->"


def keep_failed(run: Path, job: TraceJob, outcome: Outcome, failure: Failure) -> None:
    """Keeps what repeats the process.

    Raises AllocphaseError where that cannot be written.
    """
    text = run.absolute() / repeat_file(job.id)
    folder = _made(_made(text.parent.parent) / text.parent.name)
    trace = folder.parent / job.trace.name
    if not trace.exists():
        keep_file(job.trace, trace)
    kept = replace(job, trace=trace, allocator=_kept_allocator(job.allocator, folder.parent))
    lines = [
        *_headline(job, outcome),
        *_operations(trace, failure),
        *_commands(kept, failure, folder),
    ]
    write_text(text, "\n".join(lines) + "\n", synced=False)


def _made(folder: Path) -> Path:
    with named_errors(folder):
        folder.mkdir(exist_ok=True)
    refuse_linked_folder(folder)
    return folder


def _kept_allocator(allocator: Allocator, folder: Path) -> Allocator:
    """Where it is: a preload's path may have no blank, as a run directory's may."""
    if allocator.source is None or allocator.kind != "plugin" or allocator.path is None:
        return allocator
    copy = folder / allocator.path.name
    if not copy.exists():
        copy_whole(allocator.path, copy)
    return replace(allocator, path=copy)


def _headline(job: TraceJob, outcome: Outcome) -> Iterator[str]:
    yield f"{job.allocator.name} on {job.scenario}, {job.probe} (process {job.id}):"
    yield plain(f"{outcome.status}: {outcome.message}")


def _operations(trace: Path, failure: Failure) -> Iterator[str]:
    if not failure.operations:
        yield ""
        yield (
            "Which operation it was at is not known: it was outside of the trace, or its probe "
            "keeps no account, which would be timed as well (verify does)."
        )
    for place in failure.operations:
        yield from _operations_before(trace, place)


def _operations_before(trace: Path, place: FaultyOperation) -> Iterator[str]:
    yield ""
    try:
        lines = excerpt(trace, thread=place.thread, op=place.op)
    except (OSError, TraceError):  # the allocator has written over where it says that it was
        yield f"It says operation {place.op} of thread {place.thread}, and the trace has none."
        return
    yield f"The last operations of thread {place.thread}; {_MARK} is where it ended:"
    for line in lines:
        yield f"  {_MARK if line is lines[-1] else ' ' * len(_MARK)} {line}"


def _commands(kept: TraceJob, failure: Failure, folder: Path) -> Iterator[str]:
    yield ""
    yield "To repeat it, paste one of these lines into a shell:"
    for repetition in repetitions(kept, failure, folder):
        yield ""
        yield f"# {plain(repetition.words)}"
        if repetition.command:
            yield repetition.command
