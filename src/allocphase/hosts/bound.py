"""Runs a module that ends when its parent does.
`python -m allocphase.hosts.bound PARENT LOCK MODULE ARGUMENT...`

PARENT is the parent's pid: the kernel sends SIGTERM once that is gone (PR_SET_PDEATHSIG), however
it ended, and where it is gone already nothing is begun. LOCK is a descriptor that the parent has
locked, or -1: it stays open here, so that nobody takes the lock before this process has ended, and
none of its children has it.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

__all__ = ["command"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def command(module: str, *arguments: str, lock: int = -1) -> list[str]:
    """The command that runs a module bound to this process; `lock` is to be passed to it."""
    own = [sys.executable, "-m", "allocphase.hosts.bound", str(os.getpid()), str(lock)]
    return [*own, module, *arguments]


def _bind(parent: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        raise SystemExit(128 + signal.SIGTERM)


def _main() -> None:
    parent, lock, module, *arguments = sys.argv[1:]
    if int(lock) >= 0:
        os.set_inheritable(int(lock), False)
    _bind(int(parent))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
