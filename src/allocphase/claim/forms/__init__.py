"""The closed set of forms that a check can have: one a module, and the catalogue of them.

Each reads its table strictly, names the cells it needs, and judges them.
"""

from __future__ import annotations

from allocphase.claim.forms.catalogue import FORMS, read_check

__all__ = ["FORMS", "read_check"]
