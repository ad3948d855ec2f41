"""Files of benchmarks as Google Benchmark and Go write them, for what imports them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["BENCHMARKS", "go_text", "google", "google_entry"]

CONTEXT = {
    "date": "2026-11-28T10:00:00+01:00",
    "host_name": "buildbox",
    "executable": "./alloc_benchmark",
    "num_cpus": 2,
    "mhz_per_cpu": 2000,
    "cpu_scaling_enabled": False,
    "caches": [{"type": "Data", "level": 1, "size": 32768, "num_sharing": 1}],
    "load_avg": [0.5, 0.4, 0.3],
    "library_version": "v1.9.1",
    "library_build_type": "release",
    "json_schema_version": 1,
}


def google_entry(name: str, time: float, **changes: Any) -> dict[str, Any]:
    """A repetition."""
    return {
        "name": name,
        "family_index": 0,
        "per_family_instance_index": 0,
        "run_name": name,
        "run_type": "iteration",
        "repetitions": 10,
        "repetition_index": 0,
        "threads": 1,
        "iterations": 1000,
        "real_time": time,
        "cpu_time": time,
        "time_unit": "ns",
        **changes,
    }


def google(entries: Sequence[Mapping[str, Any]], **context: Any) -> str:
    """A file of them."""
    return json.dumps({"context": {**CONTEXT, **context}, "benchmarks": list(entries)}, indent=2)


def go_text(times: Mapping[str, Sequence[float]], *, more: str = "") -> str:
    """What `go test -bench` prints of each benchmark's repetitions. more: behind each line."""
    head = ["goos: linux", "goarch: amd64", "pkg: example.org/alloc", "cpu: Some CPU @ 2.00GHz"]
    lines = [
        f"{name}\t1000000\t{time} ns/op{more}" for name, held in times.items() for time in held
    ]
    return "\n".join([*head, *lines, "PASS", "ok  \texample.org/alloc\t1.2s"]) + "\n"


BENCHMARKS = {
    "google-benchmark": google(
        [
            *(google_entry("BM_alloc/64", 12.0 + n / 10, bytes_per_second=1e9) for n in range(3)),
            google_entry("BM_alloc/allocator:mine/8", 1.5, time_unit="us", threads=4),
            google_entry("BM_alloc_mean", 12.0, run_type="aggregate", aggregate_name="mean"),
            {"name": "BM_bad", "error_occurred": True, "error_message": "no memory"},
        ]
    ),
    "go": go_text(
        {"BenchmarkAlloc/size=64-8": [12.0, 12.5], "BenchmarkAlloc/allocator=mine-8": [1e3]},
        more="\t64 B/op\t1 allocs/op",
    ),
}
