"""The Python loaders under fuzzing: each target is given a folder, and then one generator a try.

A try writes a mutation of a real file, reads it as the commands do, and uses what was read. Only
AllocphaseError may come out; the caller sees to that, to time and to memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import shutil
import struct
import tomllib
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zstandard

from allocphase import allocator, scenario, trace
from allocphase.allocator.shared_object import inspect_object
from allocphase.analysis.comparable import not_holding
from allocphase.analysis.frames import Run
from allocphase.analysis.measures import MEASURES
from allocphase.claim import (
    judge,
    load,
    print_section,
    read_section,
    requirements,
    section_document,
    section_markdown,
)
from allocphase.compare import CompareSettings, compare_runs
from allocphase.errors import DataError, NothingMeasuredError, UsageError
from allocphase.export.cells import cells_document
from allocphase.export.exported import Choice
from allocphase.export.formats import FORMATS
from allocphase.files.elf import loaded_sha256
from allocphase.files.typed import load_json
from allocphase.gate.baseline import load_baseline
from allocphase.gate.baseline_text import describe
from allocphase.judge.calls import call_differences
from allocphase.judge.document import document, read_verdict
from allocphase.judge.limits import parse_limit, read_limits
from allocphase.judge.render.calls import print_calls
from allocphase.judge.render.console import print_verdict
from allocphase.judge.render.explain import explain
from allocphase.judge.render.github import report_to_github
from allocphase.judge.render.junit import junit
from allocphase.judge.render.markdown import markdown
from allocphase.machine.fingerprint import differences
from allocphase.machine.lock import holder_words, read_holder
from allocphase.operation import LATENCY_KINDS
from allocphase.process.driver import DriverExecutor, Job, Outcome
from allocphase.process.keeper import Ending, read_ending
from allocphase.recorder.columns import MAX_EVENTS
from allocphase.recorder.event_file import HEADER as EVENT_HEADER
from allocphase.recorder.event_file import MAGIC, open_recording
from allocphase.recorder.events import UNKNOWN_OBJECT
from allocphase.recorder.imported import import_trace
from allocphase.report.content.source import Source
from allocphase.report.page.page import page
from allocphase.report.text.markdown import markdown as report_markdown
from allocphase.run.foreign.imported import BenchmarkSource, read_benchmarks, write_imported
from allocphase.run.resume import resume
from allocphase.spec import Spec, found_arm, found_name
from allocphase.store.manifest import Manifest
from allocphase.store.record import ProcessRecord
from allocphase.text.share import parse_share
from allocphase.trace.excerpt import excerpt
from allocphase.trace.facts import facts_of, facts_text
from allocphase.trace.records import HEADER, OP, THREAD, TraceError
from allocphase.trace.stored import packed_copy
from allocphase.trace.text_form import write_text
from allocphase.trace.window import window
from tests.fuzz import seeds
from tests.fuzz.mutate import (
    mutated_arrays,
    mutated_bytes,
    mutated_json,
    mutated_numbers,
    mutated_text,
    mutated_toml,
)
from tests.support.benchmarks import BENCHMARKS
from tests.support.foreign import SAMPLES
from tests.support.plugins import ROOT, Plugins

__all__ = ["TARGETS", "Try"]

Try = Callable[[random.Random], None]


def _traces(folder: Path) -> Try:
    """Trace files; most with a digest that is right again, so that what is behind it is read."""
    contents = [path.read_bytes() for path in seeds.traces(folder)]
    path = folder / "mutated"

    def attempt(rng: random.Random) -> None:
        data = bytearray(rng.choice(contents))
        for _ in range(rng.choice((1, 1, 2, 3))):
            _edit_trace(data, rng)
        if rng.random() < 0.2:
            data = bytearray(mutated_bytes(bytes(data), rng))
        path.write_bytes(_with_digest(bytes(data)) if rng.random() < 0.9 else data)
        with contextlib.suppress(TraceError):  # looked at unchecked, when a process has failed
            excerpt(path, thread=rng.randrange(3), op=rng.choice((0, 1, 2, 5)))
        trace.read(path)

    return attempt


def _edit_trace(data: bytearray, rng: random.Random) -> None:
    """One field of the header, of a thread or of an operation."""
    head = np.frombuffer(data, HEADER, 1)
    ops = np.frombuffer(data, OP, offset=min(len(data), 256))
    threads = np.frombuffer(data, THREAD, 1, HEADER.itemsize)
    table = rng.choice((head, ops, ops, ops, threads))
    field = rng.choice(table.dtype.names or ())
    if not len(table) or table.dtype[field].kind not in "uif" or field == "digest":
        return
    bits = 8 * table.dtype[field].itemsize
    value = rng.choice((0, 1, 2, 3, 4, 5, 6, 16, 33, 2**bits - 1, 2 ** (bits - 1)))
    table[field][rng.randrange(len(table))] = value % 2**bits


def _with_digest(content: bytes) -> bytes:
    start = int(HEADER.fields["digest"][1]) if HEADER.fields else 0
    zeroed = content[:start] + bytes(32) + content[start + 32 :]
    return content[:start] + hashlib.sha256(zeroed).digest() + content[start + 32 :]


def _runs(folder: Path) -> Try:
    """Run directories: each kind of file in them, and all that is ever made of one."""
    run = _run_files(seeds.run_directory(folder / "out"), folder / "broken")
    gate = _run_files(seeds.gate_directory(folder / "gate"), folder / "broken-gate")
    return lambda rng: (gate if rng.random() < 0.2 else run)(rng)


def _run_files(source: Path, broken: Path) -> Try:
    """One or two files of a copy of `source`, and whole again behind it."""
    names = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    contents = {name: (source / name).read_bytes() for name in names}
    shutil.copytree(source, broken)

    def attempt(rng: random.Random) -> None:
        chosen = rng.sample(names, rng.choice((1, 1, 2)))
        for name in chosen:
            (broken / name).write_bytes(_mutated_file(name, contents[name], rng))
        try:
            _use_run(broken, thoroughly=rng.random() < 0.2)
        finally:
            for name in chosen:
                (broken / name).write_bytes(contents[name])

    return attempt


def _mutated_file(name: Path, content: bytes, rng: random.Random) -> bytes:
    if name.suffix == ".json":
        return mutated_json(json.loads(content), rng)
    if name.suffix == ".npz":
        return mutated_arrays(content, rng)
    if name.suffix == ".jsonl":
        lines = content.splitlines()
        at = rng.randrange(len(lines))
        lines[at] = mutated_json(json.loads(lines[at]), rng)
        return b"\n".join(lines) + b"\n"
    return mutated_bytes(content, rng)


def _use_run(path: Path, *, thoroughly: bool) -> None:
    run = Run(path)
    assert len(run.processes) == len(run.records)
    json.dumps(cells_document(run), allow_nan=False)
    assert len(run.cells) == len(run.cell_list)
    for name in run.scenarios:
        for one in run.allocators:
            run.operations_of(one, name)
        arms = (run.allocators[0], run.allocators[0], run.allocators[-1])
        print_calls(call_differences(path, name, arms=arms), name, io.StringIO())
    print_section(judge(load("phase-report"), run), io.StringIO())
    if thoroughly:
        with contextlib.suppress(NothingMeasuredError):
            compare_runs([path, path], CompareSettings())
        report_markdown(Source.of(run))
        page(Source.of(run))
        for form in FORMATS:
            kind = LATENCY_KINDS[0]
            choice = Choice(allocator=run.allocators[0], scenario=run.scenarios[0], kind=kind)
            with contextlib.suppress(NothingMeasuredError):
                form.write([run], choice)


def _resumptions(folder: Path) -> Try:
    """Run directories that are opened again to be filled; most with a digest that is right."""
    source = seeds.unfinished_run(folder / "out")
    names = ("run.json", "run.json", "processes.jsonl", "events.jsonl")
    contents = {name: (source / name).read_bytes() for name in names}
    broken = folder / "broken"

    def attempt(rng: random.Random) -> None:
        shutil.copytree(source, broken)
        try:
            name = rng.choice(names)
            (broken / name).write_bytes(_mutated_file(Path(name), contents[name], rng))
            if name == "run.json" and rng.random() < 0.9:
                _with_plan_digest(broken / name)
            resume(broken).lock.release()
        finally:
            shutil.rmtree(broken)

    return attempt


def _with_plan_digest(path: Path) -> None:
    """As if the plan had been so from the beginning. Raises what reading raises."""
    found = load_json(Manifest, path, schema=2)
    path.write_text(replace(found, plan_sha256=found.digest_of_plan()).to_json(), "utf-8")


class _LeavingExecutor(DriverExecutor):
    """Starts nothing: copies `left` to where a process would have left it, mutated."""

    def __init__(self, left: seeds.Left, rng: random.Random) -> None:
        super().__init__()
        self._left = left
        self._rng = rng

    def _run_in(self, folder: Path, _job: Job) -> Ending:
        shutil.copytree(self._left.folder, folder, dirs_exist_ok=True)
        names = sorted(path for path in folder.iterdir() if path.is_file())
        for path in self._rng.sample(names, self._rng.choice((1, 1, 2))):
            path.write_bytes(self._mutated(path))
        ending = self._left.ending
        if self._rng.random() < 0.3:
            status = self._rng.choice((0, 0, 256, 768, 9, 11))
            said = f"ended {status} 0 {ending.token} {ending.clock_hz:.0f}\n".encode()
            ending = read_ending(mutated_bytes(said, self._rng), 0)
        return ending

    def _mutated(self, path: Path) -> bytes:
        content = path.read_bytes()
        if path.name != "result.json" or self._rng.random() < 0.1:
            return mutated_bytes(content, self._rng)
        signature = content[content.rindex(b',"token":') :]
        document = json.loads(content[: -len(signature)] + b"}")
        return mutated_json(document, self._rng).rstrip(b"}") + signature


def _deliveries(folder: Path) -> Try:
    """What a process leaves: result.json, arrays, its progress, the keeper's line.

    Whatever is taken for measured is a record that the journal takes, and gives again.
    """
    left = seeds.deliveries(folder)

    def attempt(rng: random.Random) -> None:
        one = rng.choice(left)
        outcome = _LeavingExecutor(one, rng).run(one.job)
        record = _record(one.job, outcome)
        assert ProcessRecord.from_json(record.to_json()) == record
        if outcome.status != "ok":
            raise UsageError(outcome.message)

    return attempt


def _record(job: Job, outcome: Outcome) -> ProcessRecord:
    return ProcessRecord(
        id=job.id,
        round=job.round,
        allocator=job.allocator.name,
        scenario=job.scenario,
        probe=job.probe,
        status=outcome.status,
        message=outcome.message,
        wall_s=1.0,
        result=outcome.result,
    )


def _objects(folder: Path) -> Try:
    """Shared objects: what they are, what they export, and the digest of what is loaded."""
    plugins = Plugins(folder)
    contents = [plugins(name).read_bytes() for name in ("empty", "libc")]
    path = folder / "mutated.so"

    def attempt(rng: random.Random) -> None:
        data = bytearray(rng.choice(contents))
        for _ in range(rng.choice((1, 1, 2, 4))):
            _edit_object(data, rng)
        path.write_bytes(mutated_bytes(bytes(data), rng) if rng.random() < 0.2 else data)
        loaded_sha256(path)
        inspect_object(path)

    return attempt


def _edit_object(data: bytearray, rng: random.Random) -> None:
    """A field of the header, of a segment or of a section, of 2, 4 or 8 bytes."""
    segments, sections = struct.unpack_from("<QQ", data, 32)
    table, size = rng.choice(((0, 64), (segments, 56 * 12), (sections, 64 * 30)))
    width = rng.choice((2, 4, 8))
    at = table + width * rng.randrange(size // width)
    values = (0, 1, 4, 11, 24, 64, len(data), 2**31, 2**63, -1)
    value = rng.choice(values) % 2 ** (8 * width)
    if at + width <= len(data):
        data[at : at + width] = value.to_bytes(width, "little")


def _words(folder: Path) -> Try:
    """What a command line, a workflow and other users' lock files say."""
    arms = {"libc": {}, "mine": {"key": "value"}, "phase2?objects_per_slab=8": {}}
    limits = ["time=3%", "p99=10%:larson*", "syscalls.*=exact", "peak_rss=0.5", "*=off"]
    specs = ["mine=./x.so?key=a,b&other=1", "phase2?objects_per_slab=1,8", "larson?threads=1+2"]
    holder = {"pid": 1, "namespace": "pid:[1]", "user": "x", "run": "/out", "since": "now"}
    lock = folder / "held"

    def attempt(rng: random.Random) -> None:
        match rng.randrange(4):
            case 0:
                parse_limit(mutated_text(rng.choice(limits), rng))
            case 1:
                _use_spec(mutated_text(rng.choice(specs), rng), arms)
            case 2:
                with contextlib.suppress(ValueError):
                    parse_share(mutated_text(rng.choice(("3%", "0.02", "1e-3")), rng))
            case _:
                lock.write_bytes(mutated_json(holder, rng))
                with lock.open("rb") as file:
                    assert holder_words(read_holder(file.fileno())).isprintable()

    return attempt


def _use_spec(text: str, arms: Mapping[str, Mapping[str, str]]) -> None:
    for spec in (Spec.of_allocator(text), Spec.of_scenario(text)):
        assert len(spec.points()) >= 1
        assert spec.label.isprintable()
        assert Spec.of_scenario(str(spec)) is not None
    found_arm(text, arms)
    found_name(text, arms)


def _collections(folder: Path) -> Try:
    """Scenario and allocator files; of a scenario that is accepted, its trace."""
    scenario.collection.MAX_OPERATIONS = 20_000
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "scenarios").glob("*.toml"))]
    scenarios = [tomllib.loads(text) for text in texts]
    paths = sorted((ROOT / "allocators").glob("*/allocator.toml"))
    allocators = [tomllib.loads(path.read_text("utf-8")) for path in paths]
    (folder / "mine").mkdir()

    def attempt(rng: random.Random) -> None:
        if rng.random() < 0.25:
            path = folder / "mine" / "allocator.toml"
            path.write_bytes(mutated_toml(rng.choice(allocators), rng))
            allocator.load(path)
            return
        path = folder / "mutated.toml"
        path.write_bytes(mutated_toml(rng.choice(scenarios), rng))
        scenario.generate(scenario.load(path))

    return attempt


def _judgements(folder: Path) -> Try:
    """Claims and limits."""
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "claims").glob("*.toml"))]
    claims = [tomllib.loads(text) for text in texts]
    limits = {"limits": ["time=3%", "p99=10%:larson*", "syscalls*=off", "page_faults=exact"]}
    path = folder / "mutated.toml"

    def attempt(rng: random.Random) -> None:
        if rng.random() < 0.3:
            path.write_bytes(mutated_toml(limits, rng))
            read_limits(path)
            return
        path.write_bytes(mutated_toml(rng.choice(claims), rng))
        promised = load(str(path))
        requirements(promised)
        section = judge(promised, None)
        json.dumps(section_document(section), allow_nan=False)
        print_section(section, io.StringIO())

    return attempt


def _documents(folder: Path) -> Try:
    """gate.json, claims.json and saved baselines."""
    verdict, claims, baseline = seeds.documents(folder)
    originals = {path: json.loads(path.read_bytes()) for path in (verdict, claims, baseline)}

    def attempt(rng: random.Random) -> None:
        path = rng.choice(list(originals))
        path.write_bytes(mutated_json(originals[path], rng))
        if path == verdict:
            _use_verdict(folder)
        elif path == claims:
            section = read_section(folder)
            assert section is not None
            json.dumps(section_document(section), allow_nan=False)
            print_section(section, io.StringIO())
            section_markdown(section).encode()
        else:
            found = load_baseline(baseline.stem, folder)
            describe(found).encode()
            differing = differences(found.fingerprint, {"cpu": "another"})
            assert not_holding(MEASURES.values(), differing)
            assert found.rounds >= 0
            assert all(values for values in found.values.values())

    return attempt


def _use_verdict(folder: Path) -> None:
    verdict = read_verdict(folder)
    json.dumps(document(verdict), allow_nan=False)
    print_verdict(verdict, io.StringIO(), everything=True)
    markdown(verdict).encode()
    junit(verdict).encode()
    for row in verdict.rows:
        explain(verdict, row.row.id).encode()
    summary = folder / "summary.md"
    told = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    for line in report_to_github(verdict, told):
        assert len(line.splitlines()) == 1
    summary.unlink()


def _events(folder: Path) -> Try:
    """Event files: bytes anywhere; and payloads that were changed before they were packed, with
    sums that are right again.
    """
    content = seeds.event_file(folder / "seed.events").read_bytes()
    records = list(_event_records(content))
    path = folder / "mutated.events"

    def attempt(rng: random.Random) -> None:
        if rng.random() < 0.2:
            path.write_bytes(mutated_bytes(content, rng))
        else:
            chosen = rng.randrange(len(records))
            parts = [
                _mutated_record(head, raw, rng) if index == chosen else _packed_record(head, raw)
                for index, (head, raw) in enumerate(records)
            ]
            path.write_bytes(MAGIC + b"".join(parts))
        recording = open_recording(path)
        for batch in recording.batches():
            assert len(batch.events) <= MAX_EVENTS
            assert batch.thread < len(recording.threads)
            objects = batch.events["object"]
            assert bool(np.all((objects < recording.objects) | (objects >= UNKNOWN_OBJECT)))

    return attempt


def _event_records(content: bytes) -> Iterator[tuple[npt.NDArray[np.void], bytes]]:
    """Each record's header and what its payload unpacks to."""
    at = len(MAGIC)
    while at < len(content):
        head = np.frombuffer(content, EVENT_HEADER, 1, at).copy()
        at += EVENT_HEADER.itemsize
        end = at + int(head["packed_bytes"][0])
        yield head, zstandard.ZstdDecompressor().decompress(content[at:end])
        at = end


def _mutated_record(head: npt.NDArray[np.void], raw: bytes, rng: random.Random) -> bytes:
    head = head.copy()
    if rng.random() < 0.3:
        field = rng.choice(EVENT_HEADER.names or ())
        bits = 8 * EVENT_HEADER[field].itemsize
        head[field] = rng.choice((0, 1, 2, 5, 65536, 2**bits - 1, 2 ** (bits - 1))) % 2**bits
        return _packed_record(head, raw)
    if int(head["kind"][0]) == 1 and rng.random() < 0.8:
        return _packed_record(head, mutated_json(json.loads(raw), rng))
    return _packed_record(head, mutated_bytes(raw, rng) if raw else raw)


def _packed_record(head: npt.NDArray[np.void], raw: bytes) -> bytes:
    head, packed = head.copy(), zstandard.ZstdCompressor().compress(raw)
    head["raw_bytes"], head["packed_bytes"] = len(raw), len(packed)
    head["sum"] = zlib.crc32(packed)
    return head.tobytes() + packed


def _imports(folder: Path) -> Try:
    """Files that become traces: of other tools, text, event files, packed traces. What comes out is
    whole: the driver takes no other.
    """
    contents = list(SAMPLES.values())
    for path in seeds.traces(folder):
        text = io.StringIO()
        write_text(trace.read(path), text)
        contents.append(text.getvalue().encode())
    contents.append(seeds.recording(folder / "x.events").read_bytes())
    packed_copy(folder / "recorded", folder / "packed.trace.zst")
    packed = (folder / "packed.trace.zst").read_bytes()
    path, made = folder / "mutated", folder / "made.trace"

    def attempt(rng: random.Random) -> None:
        if rng.random() < 0.1:
            path.write_bytes(mutated_bytes(packed, rng))
            trace.read(path)
            return
        if rng.random() < 0.2:
            _import_benchmarks(path, rng)
            return
        content = rng.choice(contents)
        if content.isascii() and rng.random() < 0.5:
            path.write_bytes(mutated_text(content.decode(), rng).encode("utf-8", "replace"))
        else:
            path.write_bytes(mutated_bytes(content, rng))
        for _ in import_trace(path, made):
            pass
        found = trace.read(made)
        facts_text(facts_of(found), name="made")
        if len(found.ops) > 1:
            trace.validate(window(found, 1, len(found.ops)))

    return attempt


def _import_benchmarks(path: Path, rng: random.Random) -> None:
    """What comes out is a run that can be read."""
    name = rng.choice(list(BENCHMARKS))
    mutated = rng.choice([mutated_text, mutated_numbers])
    path.write_bytes(mutated(BENCHMARKS[name], rng).encode("utf-8", "replace"))
    allocator_name = rng.choice([None, "mine"])
    source = BenchmarkSource(path=path, name=name, allocator=allocator_name, paired=True)
    found = read_benchmarks(source)
    made = path.with_name("imported")
    try:
        write_imported(found, source, made)
        for cell in Run(made).cell_list:
            assert cell.metrics["floor_ns"] is None
    except DataError as error:
        raise AssertionError("what was imported cannot be read") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


TARGETS: dict[str, Callable[[Path], Try]] = {
    "traces": _traces,
    "deliveries": _deliveries,
    "runs": _runs,
    "resumptions": _resumptions,
    "objects": _objects,
    "words": _words,
    "collections": _collections,
    "judgements": _judgements,
    "documents": _documents,
    "events": _events,
    "imports": _imports,
}
