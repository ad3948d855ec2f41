"""report.html: one file, no request to any host, every name from outside escaped."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from allocphase.data import find
from allocphase.frames import Run
from allocphase.metrics import CONFIDENCE
from allocphase.report.captions import caption
from allocphase.report.figures import FigureSpec, slug
from allocphase.report.points import points_per_cell
from allocphase.report.rows import COLUMNS, rows
from allocphase.report.source import Source
from allocphase.units import format_bytes, format_count, format_ns

__all__ = ["page"]

Drawn = Sequence[tuple[FigureSpec, Path]]
Values = dict[str, Any]


def page(source: Source, drawn: Drawn) -> str:
    """The whole document. drawn: the run's figures and where their PNG files lie."""
    run = source.run
    template = _environment().get_template("report.html")
    return template.render(
        **_head(run),
        overview=[_figure(*pair) for pair in drawn if pair[0].scenario is None],
        parts=_parts(source, drawn),
        environment=_machine(run),
        allocators=[_allocator(entry) for entry in run.manifest["allocators"]],
        rounds=run.manifest["plan"]["rounds"],
        seed=run.manifest["plan"]["seed"],
        confidence=f"{CONFIDENCE:.0%}",
        clock=_clock(run),
        points=format_count(points_per_cell(len(source.all_cells))),
        command=shlex.join(run.manifest["command"]),
    )


def _environment() -> Environment:
    folder = find("reports/report.html").parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["picture"] = environment.get_template("macros.html").module.picture  # type: ignore[attr-defined]
    return environment


def _head(run: Run) -> Values:
    manifest = run.manifest
    facts = (
        manifest["started"],
        str(manifest["environment"].get("cpu", "unknown CPU")),
        f"allocphase {manifest['environment'].get('allocphase', '')}",
    )
    css = find("reports/report.css").read_text(encoding="utf-8")
    return {"label": manifest["label"], "facts": facts, "css": Markup(css)}  # noqa: S704 (ours)


def _parts(source: Source, drawn: Drawn) -> list[Values]:
    colours = {name: look.colour for name, look in source.looks.items()}
    parts = []
    for index, name in enumerate(source.scenarios):
        part = _scenario(source, name)
        part["id"] = f"scenario-{slug(name, index)}"
        part["columns"] = COLUMNS
        part["rows"] = [
            {"allocator": row.allocator, "values": row.values, "colour": colours[row.allocator]}
            for row in rows(source.cells(name), source.ratios(name))
        ]
        part["figures"] = [_figure(*pair) for pair in drawn if pair[0].scenario == name]
        parts.append(part)
    return parts


def _scenario(source: Source, name: str) -> Values:
    entry, floor_ns = source.entry(name), source.floor_ns(name)
    threads = int(entry.get("threads", 1))
    facts = [f"{format_count(entry['operations'])} operations", f"floor {format_ns(floor_ns)}"]
    facts += [f"{threads} threads"] * (threads > 1)
    facts += [f"peak live {format_bytes(entry.get('peak_live_bytes'))}"]
    return {
        "name": entry["name"],
        "title": str(entry.get("title", "")).rstrip("."),
        "facts": facts,
        "stands_for": entry.get("stands_for", ""),
        "does_not_show": entry.get("does_not_show", ""),
        "failures": [cell for cell in source.cells(name) if cell["status"] != "ok"],
        "doubts": source.doubts(name),
    }


def _figure(spec: FigureSpec, path: Path) -> Values:
    text = caption(spec)
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return {"title": spec.title, "caption": text, "alt": f"{spec.title}. {text}", "data": data}


def _machine(run: Run) -> list[tuple[str, str]]:
    facts = dict(run.manifest["environment"])
    if isinstance(facts.get("memory_bytes"), int):
        facts["memory_bytes"] = format_bytes(facts["memory_bytes"])
    tuning = facts.pop("tuning", None) or {}
    shown = [
        (name.replace("_", " "), "not known" if v is None else str(v)) for name, v in facts.items()
    ]
    return shown + [(name, str(value)) for name, value in tuning.items()]


def _allocator(entry: Mapping[str, Any]) -> Values:
    config = entry.get("config") or {}
    settings = ", ".join(f"{key}={value}" for key, value in config.items())
    keys = ("name", "summary", "path", "sha256")
    return {**{key: entry.get(key) or "" for key in keys}, "settings": settings}


def _clock(run: Run) -> str:
    costs = [cell["metrics"].get("clock_floor_ns") for cell in run.cell_list]
    return format_ns(max((cost for cost in costs if cost), default=None))
