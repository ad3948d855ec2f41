"""What a run looks like: the table on the terminal, report.html, figures, report.md.

Reads run directories only; nothing here starts a process.
"""

from __future__ import annotations

__all__: list[str] = []
