"""What a trace has otherwise than the program: the words of its notes, which are counted.

Who makes a trace (merge.py, convert.py) counts them; who asks what calls a trace stands for
(alike.py) undoes them.
"""

from __future__ import annotations

__all__ = [
    "FAILED",
    "FREED_BY_REALLOC",
    "INHERITED",
    "NULL_FREES",
    "NULL_REALLOCS",
    "REALLOC_FAILED",
    "SPLIT",
    "UNSEEN_FREES",
    "UNSEEN_REALLOCS",
    "USABLE_SIZE",
]

FAILED = "allocations that failed, left out"
FREED_BY_REALLOC = "reallocs to nothing, replayed as free"
INHERITED = "blocks inherited from a fork"
NULL_FREES = "frees of NULL"
NULL_REALLOCS = "reallocs of NULL, replayed as malloc"
REALLOC_FAILED = "reallocs that failed, left out"
SPLIT = "reallocs of aligned blocks, replayed as free and malloc"
UNSEEN_FREES = "frees of blocks never seen, left out"
UNSEEN_REALLOCS = "reallocs of blocks never seen, replayed as malloc"
USABLE_SIZE = "questions for a usable size, left out"
