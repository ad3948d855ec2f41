"""A section of claims for a terminal and as Markdown."""
