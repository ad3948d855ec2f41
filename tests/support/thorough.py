"""Which tests take minutes for what a commit seldom breaks: CI runs them, `make test` does not."""

from __future__ import annotations

__all__ = ["THOROUGH"]

# By the beginning of their names.
THOROUGH = (
    "tests/benchmarks/",  # signs of life of what `make benchmark` measures
    "tests/browser/test_report_access.py",
    "tests/fuzz/",
    "tests/integration/test_aarch64.py",
    "tests/integration/test_action.py",
    "tests/integration/test_cache_sim.py",
    "tests/integration/test_failed.py",
    "tests/integration/test_fleet.py",
    "tests/integration/test_fleet_of_200.py",
    "tests/integration/test_gallery.py",
    "tests/integration/test_gallery_elsewhere.py",
    "tests/integration/test_gate_revision.py",
    "tests/integration/test_instructions.py",
    "tests/integration/test_interruption.py",
    "tests/integration/test_long_traces.py",
    "tests/integration/test_program_endings.py",
    "tests/integration/test_program_syscalls.py",
    "tests/integration/test_record_sanitizers.py",
    "tests/integration/test_reproducible.py",
    "tests/integration/test_restricted.py",
    "tests/integration/test_resume.py",
    "tests/integration/test_sanitizers.py",
    "tests/integration/test_scenarios.py",
    "tests/integration/test_site.py",
    "tests/integration/test_threads.py",
    "tests/integration/test_tune.py",
    "tests/integration/test_wheel.py",
)
