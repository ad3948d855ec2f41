"""What is inlined into the page: style, scripts, and the policy that allows only these scripts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from allocphase.resources import find, read_resource

__all__ = ["PARTS", "policy", "script", "scripts", "style", "template"]

# The files of reports/script/, in the order in which they use each other: one may use those
# before it.
PARTS = ("numbers", "state", "tables", "calls", "figures", "page")


def template(name: str) -> Any:
    """One of reports/, in which every value is escaped and must be there."""
    environment = Environment(
        loader=FileSystemLoader(find(f"reports/{name}").parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def style(*more: str) -> Markup:
    """The style sheet, and those of reports/ that come after it."""
    names = ("report", *more)
    return Markup("\n".join(read_resource(f"reports/{name}.css") for name in names))  # noqa: S704


def script(name: str) -> Markup:
    """One of reports/: of a page that is none of a run's."""
    return Markup(read_resource(f"reports/{name}.js"))  # noqa: S704 (ours)


def scripts() -> list[Markup]:
    """BokehJS with its plotting interface, as the installed Bokeh brings it, then our own."""
    from bokeh.resources import INLINE, Resources

    components: list[Literal["bokeh", "bokeh-api"]] = ["bokeh", "bokeh-api"]
    bokeh = Resources(mode="inline", minified=INLINE.minified, components=[*components])
    # What follows them sets a log level; ours sets its own.
    texts = [*bokeh.js_raw[: len(components)], _own_script()]
    for text in texts:
        if "</script" in text.lower():
            raise ValueError("a script that would end its own element cannot be inlined")
    return [Markup(text) for text in texts]  # noqa: S704 (ours, and the installed Bokeh's)


def _own_script() -> str:
    """The parts of reports/script/ as one strict script; its block keeps their names in."""
    parts = [read_resource(f"reports/script/{part}.js") for part in PARTS]
    return "\n".join(['"use strict";', "{", *parts, "}"])


def policy(texts: Sequence[str]) -> str:
    """A Content-Security-Policy: no request to anywhere, and no script but these.

    Bokeh styles its shadow trees from script, hence unsafe-inline for styles; its icons and our
    pictures are data.
    """
    hashes = " ".join(f"'sha256-{_sha256(text)}'" for text in texts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
