"""Which tests take minutes for what a commit seldom breaks: CI runs them, `make test` does not."""

from __future__ import annotations

__all__ = ["THOROUGH"]

# By the beginning of their names.
THOROUGH = (
    "tests/benchmarks/",  # signs of life of what `make benchmark` measures
    "tests/fuzz/",
    "tests/integration/test_action.py",
    "tests/integration/test_fleet.py",
    "tests/integration/test_fleet_of_200.py",
    "tests/integration/test_gallery_elsewhere.py",
    "tests/integration/test_gate_revision.py",
    "tests/integration/test_program_endings.py",
    "tests/integration/test_record_sanitizers.py",
    "tests/integration/test_sanitizers.py",
    "tests/integration/test_site.py",
    "tests/integration/test_wheel.py",
)
