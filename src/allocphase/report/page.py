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
from allocphase.report.doubts import doubts
from allocphase.report.figures import FigureSpec, slug
from allocphase.report.figures.timeline import POINTS
from allocphase.report.palette import looks
from allocphase.report.ratios import default_baseline, ratios, times_by_round
from allocphase.report.rows import COLUMNS, rows
from allocphase.units import format_bytes, format_count, format_ns

__all__ = ["page"]

Drawn = Sequence[tuple[FigureSpec, Path]]
Values = dict[str, Any]


def page(run: Run, drawn: Drawn) -> str:
    """The whole document. drawn: the run's figures and where their PNG files lie."""
    template = _environment().get_template("report.html")
    return template.render(
        **_head(run),
        overview=[_figure(run, *pair) for pair in drawn if pair[0].scenario is None],
        parts=_parts(run, drawn),
        environment=_machine(run),
        allocators=[_allocator(entry) for entry in run.manifest["allocators"]],
        rounds=run.manifest["plan"]["rounds"],
        seed=run.manifest["plan"]["seed"],
        confidence=f"{CONFIDENCE:.0%}",
        clock=_clock(run),
        points=format_count(POINTS),
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


def _parts(run: Run, drawn: Drawn) -> list[Values]:
    times, baseline = times_by_round(run), default_baseline(run.allocators)
    colours = {name: look.colour for name, look in looks(run.allocators).items()}
    parts = []
    for index, entry in enumerate(run.manifest["scenarios"]):
        name = entry["name"]
        cells = [cell for cell in run.cell_list if cell["scenario"] == name]
        found = ratios(times, scenario=name, baseline=baseline)
        part = _scenario(entry, cells)
        part["id"] = f"scenario-{slug(name, index)}"
        part["columns"] = COLUMNS
        part["rows"] = [
            {"allocator": row.allocator, "values": row.values, "colour": colours[row.allocator]}
            for row in rows(cells, found)
        ]
        part["figures"] = [_figure(run, *pair) for pair in drawn if pair[0].scenario == name]
        parts.append(part)
    return parts


def _scenario(entry: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> Values:
    floor_ns = next((cell["metrics"].get("floor_ns") for cell in cells), None)
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
        "failures": [cell for cell in cells if cell["status"] != "ok"],
        "doubts": doubts(cells),
    }


def _figure(run: Run, spec: FigureSpec, path: Path) -> Values:
    text = caption(run, spec)
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
