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
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from allocphase import allocator, scenario, trace
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
from allocphase.export.cells import cells_document
from allocphase.gate.baseline import load_baseline
from allocphase.gate.baseline_text import describe
from allocphase.judge.calls import call_differences
from allocphase.judge.document import document, read_verdict
from allocphase.judge.limits import parse_limit, read_limits
from allocphase.judge.render.calls import print_calls
from allocphase.judge.render.console import print_verdict
from allocphase.judge.render.explain import explain
from allocphase.judge.render.junit import junit
from allocphase.judge.render.markdown import markdown
from allocphase.machine.fingerprint import differences
from allocphase.report.content.source import Source
from allocphase.report.page.page import page
from allocphase.report.text.markdown import markdown as report_markdown
from allocphase.trace.excerpt import excerpt
from allocphase.trace.records import HEADER, OP, THREAD, TraceError
from tests.fuzz import seeds
from tests.fuzz.mutate import mutated_arrays, mutated_bytes, mutated_json, mutated_toml
from tests.support.plugins import ROOT

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
    source = seeds.run_directory(folder / "out")
    names = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    contents = {name: (source / name).read_bytes() for name in names}
    broken = folder / "broken"
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
        compare_runs([path, path], CompareSettings())
        report_markdown(Source.of(run))
        page(Source.of(run))


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
            for line in read_limits(path):
                parse_limit(line)
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


TARGETS: dict[str, Callable[[Path], Try]] = {
    "traces": _traces,
    "runs": _runs,
    "collections": _collections,
    "judgements": _judgements,
    "documents": _documents,
}
