"""What was recorded and what it took, in lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from allocphase.recorder.events import RecordingCost, RecordingFacts
from allocphase.recorder.start import RecordedTree
from allocphase.text.units import counted, format_bytes, format_ns

__all__ = ["cost_line", "ending_line", "summary_lines", "touched_line"]


def summary_lines(tree: RecordedTree) -> Iterator[str]:
    """Events by kind, processes, threads, bytes, stalls and the recorder's own share."""
    images = [image for image in tree.images if image.events]
    if not images:
        return
    events = sum(image.events for image in images)
    raw, packed = (sum(getattr(i, name) for i in images) for name in ("raw_bytes", "file_bytes"))
    threads = sum(_threads(image.facts) for image in images)
    where = images[0].path if len(images) == 1 else f"{images[0].path} and {len(images) - 1} more"
    yield (
        f"{events:,} events of {counted(threads, 'thread')} in "
        f"{counted(len(images), 'process')} in {tree.cost.wall_ns / 1e9:.2f} s: {where}, "
        f"{format_bytes(packed)} ({packed / events:.2f} bytes an event, {raw / events:.2f} before "
        "compression)"
    )
    by_kind = Counter[str]()
    for image in images:
        by_kind.update(image.facts.counts)
    yield ", ".join(
        f"{kind.replace('_', ' ')} {count:,}" for kind, count in by_kind.items() if count
    )
    if silent := len(tree.images) - len(images):
        yield f"{counted(silent, 'process')} made no call that was seen"
    yield from _losses(tree)
    yield _cost(tree)


def _threads(facts: RecordingFacts) -> int:
    return sum(thread.birth is not None and not thread.shared for thread in facts.threads)


def _losses(tree: RecordedTree) -> Iterator[str]:
    facts = [image.facts for image in tree.images]
    if ambiguous := sum(fact.ambiguous for fact in facts):
        yield f"{ambiguous:,} births at an address that had not been seen to be freed"
    if unrecorded := sum(fact.unrecorded for fact in facts):
        yield f"{unrecorded:,} calls came before the allocator could be asked, and are not recorded"
    if running := sum(fact.ended == "running" for fact in facts):
        yield f"{counted(running, 'process')} went on after the command ended, unrecorded"
    if tree.drainer is not None and tree.drainer.refused:
        yield f"{counted(tree.drainer.refused, 'process')} found no room and was not recorded"


def _cost(tree: RecordedTree) -> str:
    stalls = sum(image.facts.stalls for image in tree.images)
    stalled_ns = sum(image.facts.stalled_ns for image in tree.images)
    waited = f"threads waited {stalls:,} times for the recorder"
    if stalls:
        waited += f", {format_ns(stalled_ns)} in all"
    if tree.drainer is None:
        return waited
    rss = format_bytes(tree.cost.peak_rss_bytes)
    return (
        f"{waited}; it took {rss} of its own, {format_bytes(tree.drainer.arena_bytes)} of it "
        f"shared with the program, and {format_ns(tree.cost.cpu_ns)} of another core beside "
        "compression"
    )


def cost_line(cost: RecordingCost) -> str | None:
    """Wall time with and without the recorder, of one run each; None where there was none."""
    if not cost.wall_without_ns:
        return None
    return (
        f"{cost.wall_ns / 1e9:.3f} s with the recorder, {cost.wall_without_ns / 1e9:.3f} s without "
        f"it: {cost.wall_ns / cost.wall_without_ns:.2f} times as long (one run each)"
    )


def touched_line(tree: RecordedTree) -> str:
    """What a run that tells what is touched has told; `tree` is its recording."""
    path = next((image.path for image in tree.images if image.path is not None), None)
    if path is None:
        return "what the command touches could not be learnt: it made no call that was seen"
    told = sum(image.facts.counts.get("touched", 0) for image in tree.images)
    return (
        f"what it touches, in a run before: {path}, {counted(told, 'block')} of a page or more; "
        "for `trace import --touched`"
    )


def ending_line(tree: RecordedTree) -> str | None:
    """Why the recording ended before the command did, if it did."""
    if tree.ended == "max-bytes":
        return "the recording ended at --max-bytes; the command went on without it"
    if tree.ended == "write":
        return f"the recording ended: {tree.refusal}; the command went on without it"
    if tree.ended == "recorder":
        return "the recording ended: the recorder died; the command went on without it"
    return None
