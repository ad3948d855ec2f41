"""What `allocphase list` prints: the collections, a line each or in full."""

from __future__ import annotations

import textwrap

from allocphase import allocator, scenario

__all__ = ["allocators", "scenarios"]

WIDTH = 80


def _block(label: str, text: str) -> str:
    return textwrap.fill(
        " ".join(text.split()), WIDTH, initial_indent=f"    {label}: ", subsequent_indent="      "
    )


def allocators(*, verbose: bool) -> str:
    """A line for each allocator; what is not installed says how to install it."""
    lines = ["allocators"]
    for found in allocator.collection().values():
        state = found.missing or found.kind
        lines.append(f"  {found.name:<20} {state}")
        if verbose:
            lines.append(_block("what", found.summary))
            settings = ", ".join(f"{key}={value}" for key, value in found.config.items())
            lines += [_block("settings", settings)] if settings else []
            lines += [_block("object", str(found.path))] if found.path else []
    return "\n".join(lines)


def scenarios(*, verbose: bool) -> str:
    """A line for each scenario; * marks the default set."""
    lines = ["scenarios (* is in the default set)"]
    for found in scenario.collection():
        title = found.title.partition(":")[0] if not verbose else found.title
        mark = "*" if found.default else " "
        room = WIDTH - 23
        lines.append(f"{mark} {found.name:<20} {textwrap.shorten(title, room, placeholder='...')}")
        if verbose:
            lines.append(_block("stands for", found.stands_for))
            lines.append(_block("source", found.source))
            lines.append(_block("does not show", found.does_not_show))
            parameters = ", ".join(f"{key}={value}" for key, value in found.parameters.items())
            lines.append(_block("parameters", f"{found.family}: {parameters}"))
    return "\n".join(lines)
