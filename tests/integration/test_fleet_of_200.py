"""Two hundred simulated hosts: workers, hosts, the scheduler and controllers die meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.plugins import ROOT
from tests.support.simulated_fleet import GONE, WORSE

HOSTS = 200
MOST_BYTES = 500 << 20


def test_each_cell_of_each_host_is_there_once_and_the_fleet_is_judged_in_little_memory(
    tmp_path: Path,
) -> None:
    """In a process of its own, whose memory is the controller's and the judge's alone."""
    command = [sys.executable, "-m", "tests.support.simulated_fleet", str(HOSTS), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["statuses"] == {"done": HOSTS - GONE, "lost": GONE}
    assert told["whole"] == HOSTS - GONE
    for what in ("workers", "hosts away", "schedulers", "controllers", "archives spoilt"):
        assert told["deaths"][what] > 0, what
    assert told["worse"] == [f"host-{number:04}" for number in range(HOSTS - WORSE, HOSTS)]
    assert told["decided"] == f"decided on {HOSTS - GONE} of {HOSTS}"
    assert told["peak_bytes"] < MOST_BYTES
