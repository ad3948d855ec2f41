"""What can the gate see on this machine? Gates of an allocator against itself, made slower.

slow.c      a plug-in that passes every call on, and spins a set amount on every 64th
injected    an allocator behind it, without and with a slowdown
calibrate   how many turns of the loop are one per cent here
trials      gates of known truth: identical arms, and each slowdown
text        false alarms and power, with their intervals
"""

from __future__ import annotations

from allocphase.selftest.calibrate import Calibration, calibrate
from allocphase.selftest.injected import behind_toll, with_toll
from allocphase.selftest.trials import EFFECTS, Selftest, Trial, run_trials

__all__ = [
    "EFFECTS",
    "Calibration",
    "Selftest",
    "Trial",
    "behind_toll",
    "calibrate",
    "run_trials",
    "with_toll",
]
