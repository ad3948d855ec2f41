"""A trace beyond the limit of raw samples, by a lowered limit: from the driver to the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from allocphase import allocator, scenario, trace
from allocphase.analysis.frames import Run
from allocphase.probe.probe import Probe
from allocphase.probe.status import Status
from allocphase.run.traces import ops_arrays
from allocphase.store.record import ProcessRecord
from allocphase.store.writer import RunWriter
from tests.support.driving import Driver
from tests.support.runs import manifest

PROBES = (Probe.LATENCY, Probe.SYSCALLS, Probe.MEMORY)


def measured(driver: Driver, folder: Path, name: str, subject: str, *, raw_ops: int) -> Run:
    """A run of one cell whose raw samples end at that many operations."""
    (chosen,), (allocated,) = scenario.resolve(name), allocator.resolve(subject)
    made = scenario.generate(chosen)
    trace.write(made, folder.with_suffix(".trace"))
    writer = RunWriter(folder)
    writer.write_manifest(manifest("one", operations=len(made.ops)))
    writer.write_operations(0, ops_arrays(made.ops, made.threads, raw_ops=raw_ops))
    for number, probe in enumerate(PROBES):
        done = driver.measure(
            probe, folder.with_suffix(".trace"), allocated, raw_ops=raw_ops, fixed_addresses=1
        )
        record = ProcessRecord(
            id=number,
            round=0,
            allocator="one",
            scenario="some",
            probe=probe,
            status=Status.OK,
            message="",
            wall_s=1.0,
            result=done.result,
        )
        writer.add(record, done.arrays)
    return Run(folder)


def metrics_of(run: Run) -> dict[str, Any]:
    return dict(run.cell_list[0].metrics)


@pytest.mark.parametrize("name", ["phase-report", "xmalloc?batches=2&batch_objects=500"])
def test_a_long_trace_has_the_figures_of_a_short_one(
    driver: Driver, tmp_path: Path, name: str
) -> None:
    raw = measured(driver, tmp_path / "raw", name, "phase2", raw_ops=1_000_000)
    long = measured(driver, tmp_path / "long", name, "phase2", raw_ops=10)
    for latencies in ("latency_ns", "cold_latency_ns"):
        samples = [
            {kind: values["samples"] for kind, values in metrics_of(run)[latencies].items()}
            for run in (raw, long)
        ]
        assert samples[0] == samples[1]
    for run in (raw, long):
        counts = metrics_of(run)["cold_cause_calls"]
        total = run.manifest.scenarios[0].operations
        assert sum(counts.values()) == len(run.operations_of("one", "some")) == total
        # phase2 maps each block: its calls make a system call, or wait for the driver's lock.
        assert counts["neither"] + counts["page_fault"] < 10
        warm = metrics_of(run)["cause_calls"]
        assert sum(warm.values()) > total
        assert warm["system_call"] + warm["waited"] > 0.9 * sum(warm.values())
        assert set(metrics_of(run)["outlier_causes"]) == {"p99", "p99_9", "p99_99"}
    frames = [run.operations_of("one", "some") for run in (raw, long)]
    for column in ("thread", "op", "kind"):
        assert frames[0][column].tolist() == frames[1][column].tolist()
    frees = frames[0]["kind"].isin(["free", "free_remote"])
    assert frames[0]["size"][~frees].tolist() == frames[1]["size"][~frees].tolist()
    assert (frames[0]["size"][frees] > 0).all(), "the size of the object"
    assert (frames[1]["size"][frees] == 0).all(), "which is known of a trace that is kept whole"
    assert frames[1]["latency_ns"].notna().all()
    stored = long.files.operations("some")
    assert stored.pop("thread_ops").sum() == total
    assert len(stored.pop("thread_build")) == len(stored.pop("thread_drain")) > 0
    assert {array.size for array in stored.values()} == {0}
