"""Compare memory allocators: latency of every call, the system calls behind it, a verdict for CI."""

from __future__ import annotations

__version__ = "0.1.0"
