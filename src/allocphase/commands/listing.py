"""What `allocphase list` prints: the collections, a line each or in full."""

from __future__ import annotations

import dataclasses
import shlex
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from allocphase.allocator import Allocator, resolve
from allocphase.scenario import AnyScenario, Program, Recorded, Scenario, generate
from allocphase.scenario.families import FAMILIES, Family, Value
from allocphase.text.units import counted, format_bytes
from allocphase.trace.records import Kind, Trace, kind_of
from allocphase.trace.stored import summary

__all__ = ["allocators", "families", "scenarios", "scenarios_markdown"]

WIDTH = 80
PAGE_WIDTH = 100
INTRODUCTION = """
One file in `scenarios/` is one workload; this page is made from these files. `allocphase list
scenarios -v` prints the same, and what other packages add. `allocphase run` without `-s` takes
those of the default set. A parameter is changed with `-s 'NAME?PARAMETER=VALUE'`: a comma between
values makes a scenario of each, `+` joins the items of a value that is a list (`sizes=16+64`), and
`&` the parameters. `--sweep PARAMETER=VALUE,VALUE` changes one in every scenario of the run. So is
`work_ns` set, in every family: nanoseconds of the program's own work after each operation, where it
is timed ([method.md](method.md)); 0 unless a scenario says otherwise. Those that begin with
`recorded-` are the calls of a program, as `allocphase record` wrote them down, and have `mode` and
`touch` alone ([recording.md](recording.md)).
"""


def _block(label: str, text: str) -> str:
    return textwrap.fill(
        " ".join(text.split()), WIDTH, initial_indent=f"    {label}: ", subsequent_indent="      "
    )


def _line(name: str, text: str) -> str:
    """What is told of a name, beside it, in as many lines as it takes."""
    indent = " " * len(name)
    return textwrap.fill(text, WIDTH, initial_indent=name, subsequent_indent=indent)


def allocators(chosen: Sequence[Allocator], *, verbose: bool) -> str:
    """A line for each allocator; what is not installed says how to install it, and * marks the
    default set.
    """
    lines = ["allocators (* is in the default set)"]
    default = {found.name for found in resolve("default") if not found.missing}
    for found in chosen:
        mark = "*" if found.name in default else " "
        lines.append(_line(f"{mark} {found.name:<20} ", found.missing or found.summary))
        if verbose:
            lines.append(_block("kind", found.kind))
            lines += [_block("object", str(found.path))] if found.path else []
            lines += _settings(found)
    return "\n".join(lines)


def _settings(found: Allocator) -> Iterator[str]:
    """Those of a plug-in as they are; of others what is known, and the variables that carry it."""
    settings = ", ".join(f"{key}={value}" for key, value in found.config.items())
    if settings:
        yield _block("settings", settings)
    variables = " ".join(f"{name}={value}" for name, value in found.environment.items())
    if variables:
        yield _block("environment", variables)
    form = found.settings_form
    if form is None:
        return
    yield _block("settings by", form.shape)
    for key, known in form.keys.items():
        tried = f"; tune tries {', '.join(known.tune)}" if known.tune else ""
        yield _block(key, f"{known.meaning}; {known.values}, default {known.default}{tried}")


def scenarios(chosen: Sequence[AnyScenario], *, verbose: bool, traced: bool = False) -> str:
    """A line for each scenario; * marks the default set. traced: what it comes to, too, which takes
    making it.
    """
    lines = ["scenarios (* is in the default set)"]
    for found in chosen:
        mark = "*" if found.default else " "
        lines.append(_line(f"{mark} {found.name:<20} ", found.title))
        if verbose:
            lines.append(_block("stands for", found.stands_for))
            lines.append(_block("source", found.source))
            lines.append(_block("does not show", found.does_not_show))
            lines += [_block(*fact) for fact in _how(found)]
        if traced and not isinstance(found, Program):
            lines += [_block(*fact) for fact in _trace_facts(generate(found))]
    return "\n".join(lines)


def _how(found: AnyScenario) -> Iterator[tuple[str, str]]:
    if isinstance(found, Program):
        if found.program.share_in_malloc is not None:
            yield "share in malloc", found.program.share_in_malloc
        yield "program", found.missing or shlex.join(found.program.command)
        return
    if isinstance(found, Recorded):
        yield "trace", found.path
        if found.program is not None:
            yield "recorded of", shlex.join(found.program.program.command)
        for label in found.labels:
            yield f"validated, {found.mode}", label
        return
    parameters = ", ".join(f"{key}={value}" for key, value in found.parameters.items())
    yield "parameters", f"{found.family}: {parameters}"
    if found.work_ns:
        yield "work_ns", str(found.work_ns)


def _trace_facts(trace: Trace) -> Iterator[tuple[str, str]]:
    counts = [f"{count:,} {kind}" for kind, count in trace.op_counts.items() if count]
    threads = f", {counted(len(trace.threads), 'thread')}" if len(trace.threads) > 1 else ""
    yield "trace", f"{counted(len(trace.ops), 'operation')}{threads}: {', '.join(counts)}"
    sizes = trace.ops["size"][kind_of(trace.ops) <= Kind.ALIGNED_ALLOC]
    if sizes.size:
        least, middle, most = (format_bytes(float(f(sizes))) for f in (np.min, np.median, np.max))
        yield "sizes", f"{least} to {most}, median {middle}"
    yield "peak live", format_bytes(trace.peak_live_bytes)
    yield "digest", trace.digest


def families(*, verbose: bool) -> str:
    """A line for each family of workloads; in full with its parameters."""
    lines = ["families"]
    for name, family in FAMILIES.items():
        lines.append(_line(f"  {name:<11} ", _about(family)))
        if verbose:
            lines += [_block(key, _parameter(field)) for key, field in family.fields().items()]
    return "\n".join(lines)


def _about(family: Family) -> str:
    """The first sentence of its module, behind the colon."""
    text = str(sys.modules[family.draft.__module__].__doc__).partition("\n")[0]
    return text.partition(": ")[2] or text


def _parameter(field: dataclasses.Field[Any]) -> str:
    meta: Mapping[str, Any] = field.metadata
    bounds = [
        f"{word} {meta[key]:,}"
        for word, key in (("from", "minimum"), ("to", "maximum"))
        if meta[key] is not None
    ]
    value: Any = field.default
    default = "required" if value is dataclasses.MISSING else f"default {_shown(value)}"
    return "; ".join([meta["doc"], *([" ".join(bounds)] if bounds else []), default])


def scenarios_markdown(chosen: Sequence[AnyScenario]) -> str:
    """The page docs/scenarios.md: a table of all, and a section for each."""
    rows = [f"| [{s.name}](#{s.name}) | {'yes' if s.default else ''} | {s.title} |" for s in chosen]
    table = "\n".join(["| scenario | default | what it does |", "| --- | --- | --- |", *rows])
    parts = ["# Scenarios", _paragraph(INTRODUCTION), table, *(_section(entry) for entry in chosen)]
    return "\n\n".join(parts) + "\n"


def _paragraph(text: str) -> str:
    return textwrap.fill(
        " ".join(text.split()), PAGE_WIDTH, break_long_words=False, break_on_hyphens=False
    )


def _section(entry: AnyScenario) -> str:
    return "\n\n".join(
        [
            f"## {entry.name}",
            _paragraph(f"**{entry.title}.**"),
            _paragraph(entry.stands_for),
            _paragraph(f"*Source.* {entry.source}"),
            _paragraph(f"*Does not show.* {entry.does_not_show}"),
            *_what_it_is(entry),
        ]
    )


def _what_it_is(entry: AnyScenario) -> Iterator[str]:
    if isinstance(entry, Program):
        return _program(entry)
    return _recording(entry) if isinstance(entry, Recorded) else _parameters(entry)


def _recording(entry: Recorded) -> Iterator[str]:
    head, said = summary(Path(entry.path)), entry.provenance
    command = f" of `{shlex.join(said.command)}`" if said is not None and said.command else ""
    many = f"{head.operations:,} operations of {counted(head.threads, 'thread')}"
    yield _paragraph(f"A recording{command}: {many}, touch `{entry.touch.name.lower()}`.")


def _program(entry: Program) -> Iterator[str]:
    table = entry.program
    needs = f" Needs {', '.join(f'`{name}`' for name in table.needs)}." if table.needs else ""
    made = f" Its files are made from seed {entry.seed}." if table.inputs else ""
    if table.share_in_malloc is not None:
        yield _paragraph(f"*Share in malloc.* {table.share_in_malloc}")
    yield _paragraph(f"A program, run whole.{needs}{made}")
    variables = [f"{key}={shlex.quote(value)}" for key, value in table.environment.items()]
    yield f"```sh\n{' '.join([*variables, shlex.join(table.command)])}\n```"


def _parameters(entry: Scenario) -> Iterator[str]:
    family = FAMILIES[entry.family]
    described = [
        f"| `{key}` | {_shown(value)} | {family.fields()[key].metadata['doc']} |"
        for key, value in entry.parameters.items()
    ]
    work = f", {entry.work_ns} ns of work between calls" if entry.work_ns else ""
    yield f"Family `{entry.family}`, seed {entry.seed}, touch `{entry.touch.name.lower()}`{work}."
    yield "\n".join(["| parameter | value | meaning |", "| --- | --- | --- |", *described])


def _shown(value: Value) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else str(value)
