"""The documentation site: `make docs`, which calls a warning an error.

The pages are Markdown that reads well without a site. What they say of commands, of Python and of
the plug-in interface is taken from the code.
"""

from __future__ import annotations

from allocphase import __version__

project = "allocphase"
author = "the allocphase authors"
project_copyright = author
version = release = __version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
myst_enable_extensions = ["colon_fence"]
# Headings have the anchors that links between the pages use.
myst_heading_anchors = 4
# Files of the repository beside the pages are given to whoever follows a link to them.
suppress_warnings = ["myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = f"allocphase {__version__}"
# Nothing is fetched, also where the pages are opened from a disk.
html_theme_options = {"navigation_with_keys": True}
html_show_sourcelink = False
html_copy_source = False
