"""What a run keeps of its failed processes, where it was asked to: enough to repeat each.

    failed/0.trace             of scenario 0: the file of traces/, under a second name
    failed/mine-0123abcd.so    a plug-in that was compiled for this run: its cache may be emptied
    failed/12/repeat.txt       of process 12: what happened, the operations before, and the commands
    failed/1.inputs            of scenario 1, a program: its files
    failed/12/stdout, stderr   of a program: the end of what it wrote

A command runs in the process's own folder, which gets its files then.

Place in the pipeline: used by session, as each process ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from allocphase.allocator import Allocator
from allocphase.files.durable import (
    copy_whole,
    keep_file,
    keep_tree,
    named_errors,
    write_text,
    write_whole,
)
from allocphase.files.regular import refuse_linked_folder
from allocphase.process.driver import Failure, Job, Outcome, TraceJob
from allocphase.process.program import ProgramJob
from allocphase.process.program_repetition import program_repetitions
from allocphase.process.progress import FaultyOperation
from allocphase.process.repetition import Repetition, repetitions
from allocphase.store.record import repeat_file
from allocphase.text.line import plain
from allocphase.text.units import counted
from allocphase.trace.excerpt import excerpt
from allocphase.trace.records import TraceError

__all__ = ["keep_failed"]

_MARK = "-->"
# Of what a program wrote, in the text; the files have more.
LINES_SAID = 10
CHARACTERS_SAID = 200


def keep_failed(run: Path, job: Job, outcome: Outcome, failure: Failure) -> None:
    """Keeps what repeats the process.

    Raises AllocphaseError where that cannot be written.
    """
    text = run.absolute() / repeat_file(job.id)
    folder = _made(_made(text.parent.parent) / text.parent.name)
    kept = replace(job, allocator=_kept_allocator(job.allocator, folder.parent))
    if isinstance(kept, ProgramJob):
        lines = _of_program(kept, failure, folder)
    else:
        assert isinstance(kept, TraceJob), "there are no others"
        lines = _of_trace(kept, failure, folder)
    text_lines = [*_headline(job, outcome), *lines]
    write_text(text, "\n".join(text_lines) + "\n", synced=False)


def _of_trace(job: TraceJob, failure: Failure, folder: Path) -> list[str]:
    trace = folder.parent / job.trace.name
    if not trace.exists():
        keep_file(job.trace, trace)
    found = repetitions(replace(job, trace=trace), failure, folder)
    return [*_operations(trace, failure), *_commands(found)]


def _of_program(job: ProgramJob, failure: Failure, folder: Path) -> list[str]:
    inputs = folder.parent / job.inputs.name
    if not inputs.exists():
        keep_tree(job.inputs, inputs)
    write_whole(folder / "stdout", lambda file: file.write(failure.output), synced=False)
    write_text(folder / "stderr", failure.words, synced=False)
    found = program_repetitions(replace(job, inputs=inputs), failure, folder)
    printed = failure.output.decode("utf-8", errors="replace")
    return [
        *_said("stdout", printed, failure.output_bytes),
        *_said("stderr", failure.words, len(failure.words.encode())),
        *_commands(found),
    ]


def _said(name: str, text: str, size: int) -> Iterator[str]:
    """The last lines of it."""
    yield ""
    lines = text.splitlines()[-LINES_SAID:]
    if not lines:
        yield f"It wrote nothing to {name}."
        return
    yield f"The end of its {name} ({counted(size, 'byte')}; see the file {name}):"
    yield from (f"  {plain(line)[:CHARACTERS_SAID]}" for line in lines)


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


def _headline(job: Job, outcome: Outcome) -> Iterator[str]:
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


def _commands(found: Sequence[Repetition]) -> Iterator[str]:
    yield ""
    yield "To repeat it, paste one of these lines into a shell:"
    for repetition in found:
        yield ""
        yield f"# {plain(repetition.words)}"
        if repetition.command:
            yield repetition.command
