"""A recorded command: its environment, and signals that are meant for it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.errors import AllocphaseError
from allocphase.recorder.start import _signals, recording_environment


def test_the_recorder_comes_before_what_is_preloaded_otherwise() -> None:
    library = str(resources.find("driver/liballocphase-recorder.so").absolute())
    alone = recording_environment({"A": "b"}, "/proc/1/fd/3")
    assert alone == {"A": "b", "LD_PRELOAD": library, "ALLOCPHASE_RECORDER": "/proc/1/fd/3"}
    before = recording_environment({"LD_PRELOAD": "/x.so:/y.so"}, "/proc/1/fd/3")
    assert before["LD_PRELOAD"] == f"{library}:/x.so:/y.so"


def test_a_folder_that_nothing_can_be_preloaded_from_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resources, "find", lambda name: Path("/a b") / name)
    with pytest.raises(AllocphaseError, match="a path with a blank or a colon"):
        recording_environment({}, "/proc/1/fd/3")


def test_a_signal_that_comes_while_the_command_is_started_reaches_it() -> None:
    with _signals() as forwarding:
        os.kill(os.getpid(), signal.SIGUSR1)
        process = subprocess.Popen(["sleep", "60"])
        forwarding.begin(process.pid)
        assert process.wait(30) == -signal.SIGUSR1
