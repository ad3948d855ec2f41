"""The page of a profile: of each allocator a flame graph, its shares and its costliest functions.

A flame graph here hangs: what is called from outside stands on top, and what it calls below it,
each as wide as its share. It is a nested list, so that it fits any width, prints, and reads without
a script as what it is; the script adds zoom, keys, search and a line with a frame's figures.
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from allocphase import __version__
from allocphase.machine.environment import environment
from allocphase.profile.profiling import Profiled
from allocphase.profile.stacks import Kind, Node, Profile, costliest, tree
from allocphase.report.content.palette import looks
from allocphase.report.content.values import format_percent
from allocphase.report.page.assets import policy, script, style, template
from allocphase.scenario import Program
from allocphase.text.line import plain
from allocphase.text.units import MISSING, format_count, format_ns

__all__ = ["page"]

Values = dict[str, Any]

MOST_FUNCTIONS = 10
# Of all that is drawn; what is narrower could not be seen.
NARROWEST = 0.002
MOST_DEEP = 60
TINTS = 3

_KINDS = (
    (Kind.ALLOCATOR, "the allocator's own code"),
    (Kind.OTHER, "libraries that it calls"),
    (Kind.KERNEL, "the kernel"),
)


def page(found: Profiled, *, command: Sequence[str]) -> str:
    """The whole document."""
    inline = [script("theme"), script("profile")]
    colours = looks(one.allocator for one in found.profiles)
    most = max((one.per_op or 0.0 for one in found.profiles), default=0.0)
    text: str = template("profile.html").render(
        policy=policy(inline),
        css=style("profile"),
        scripts=inline,
        name=found.scenario.name,
        title=found.scenario.title.rstrip("."),
        facts=_facts(),
        program=isinstance(found.scenario, Program),
        unit=found.profiles[0].unit,
        tool=found.profiles[0].tool,
        fallen_back=found.fallen_back,
        kinds=_kinds(found.profiles),
        arms=[
            _arm(number, one, colours[one.allocator].colour, most)
            for number, one in enumerate(found.profiles)
        ],
        command=shlex.join(command),
        narrowest=f"{NARROWEST:.1%}",
    )
    return text


def _facts() -> list[str]:
    machine = environment()
    cpu = f"{machine.get('cpu') or 'unknown CPU'}{', virtual' if machine.get('virtual') else ''}"
    return [cpu, f"allocphase {__version__}"]


def _kinds(profiles: Sequence[Profile]) -> list[Values]:
    seen = {frame.kind for one in profiles for stack in one.stacks for frame in stack}
    return [{"look": kind.value, "name": name} for kind, name in _KINDS if kind in seen]


def _arm(number: int, one: Profile, colour: str, most: float) -> Values:
    return {
        "id": f"arm-{number}",
        "name": one.allocator,
        "colour": colour,
        "how": one.how,
        "notes": one.notes,
        "per_op": _per_op(one, one.total),
        "width": f"{100 * one.per_op / most:.2f}" if one.per_op and most else "",
        "share": format_percent(_own_share(one)),
        "shares": [
            {"name": part.name, "look": part.look, "width": f"{100 * part.part:.2f}",
             "share": format_percent(part.part)}
            for part in one.shares
        ],
        "graph": _graph(one),
        "functions": [
            {
                "name": plain(frame.name),
                "place": plain(frame.place),
                "per_op": _per_op(one, cost),
                "share": format_percent(cost / one.total),
                "width": f"{100 * cost / one.total:.1f}",
                "kind": frame.kind.value,
            }
            for frame, cost in costliest(one.stacks, MOST_FUNCTIONS)
        ],
    }  # fmt: skip


def _own_share(one: Profile) -> float:
    every = one.total + sum(one.rest.values())
    return one.total / every if every else 0.0


def _per_op(one: Profile, cost: int) -> str:
    """Of an operation, what so much of the allocator's comes to."""
    if one.per_op is None or not one.total:
        return MISSING
    value = one.per_op * cost / one.total
    return format_ns(value) if one.op_unit == "ns" else f"{value:.4g}"


# ---- The graph ---------------------------------------------------------------------------


def _graph(one: Profile) -> Markup:
    roots = tree(one.stacks)
    return Markup(  # noqa: S704 (every name is escaped)
        f'<ul class="flame" role="tree" aria-label="Flame graph of {escape(one.allocator)}">'
        f"{_items(one, roots, one.total, 1)}</ul>"
    )


def _items(one: Profile, nodes: Sequence[Node], within: int, depth: int) -> str:
    seen = [node for node in nodes if node.total >= NARROWEST * one.total]
    return "".join(_item(one, node, within, depth) for node in seen)


def _item(one: Profile, node: Node, within: int, depth: int) -> str:
    """The words of its figures are the label: what is below has words of its own."""
    below = _items(one, node.children, node.total, depth + 1) if depth < MOST_DEEP else ""
    frame, name = node.frame, escape(plain(node.frame.name))
    tint = zlib.crc32(frame.name.encode("utf-8", "replace")) % TINTS
    label = escape(_words(one, node))
    group = f'<ul role="group">{below}</ul>' if below else ""
    return (
        f'<li role="treeitem" aria-level="{depth}" aria-label="{label}" '
        f'style="width:{100 * node.total / within:.3f}%">'
        f'<div class="frame {frame.kind.value} tint-{tint}" title="{label}">'
        f"<span>{name}</span> <small>{format_percent(node.total / one.total)}</small></div>"
        f"{group}</li>"
    )


def _words(one: Profile, node: Node) -> str:
    """ "free: 46% of the allocator's samples, 18.9 ns an operation, 40% by itself; mine.so"."""
    text = f"{plain(node.frame.name)}: {format_percent(node.total / one.total)} of the allocator's "
    text += one.unit
    if one.per_op is not None:
        text += f", {_per_op(one, node.total)} an operation"
    else:
        text += f", {format_count(node.total)}"
    text += f", {format_percent(node.own / one.total)} by itself"
    return f"{text}; {plain(node.frame.place)}"
