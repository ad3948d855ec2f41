"""The caches that callgrind simulates where it is asked to, in valgrind's own words.

    I1=32768,8,64,D1=49152,12,64,LL=1048576,16,64

of each its size in bytes, its ways and the bytes of a line, as valgrind's options --I1, --D1 and
--LL take them. Which ones they are is a fact of a run: misses in others are other figures. So what
nobody names is this machine's, as valgrind finds it, and is written down before anything is
counted: valgrind gives a cache of the machine whose sets are no power of two another size.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from allocphase.errors import AllocphaseError, UsageError, shown
from allocphase.files.regular import read_regular_text
from allocphase.machine.valgrind import NOT_INSTALLED, find_valgrind
from allocphase.text.line import plain

__all__ = ["THIS_MACHINE", "cache_options", "described_caches", "simulated_caches"]

# In the place of sizes: all of them are this machine's.
THIS_MACHINE = "machine"
_FORM = "I1=SIZE,WAYS,LINE,D1=SIZE,WAYS,LINE,LL=SIZE,WAYS,LINE, or some of these"
_NAMES = ("I1", "D1", "LL")
_CACHE = r"(?:I1|D1|LL)=\d{1,12},\d{1,6},\d{1,6}"
_DESCRIBED = re.compile(r"desc: (I1|D1|LL) cache: (\d+) B, (\d+) B, (\d+)-way associative")
_TIMEOUT_S = 60.0
_MAX_PROFILE_BYTES = 64 << 20


def simulated_caches(text: str) -> str:
    """All three, of which those that `text` does not name are this machine's.

    Raises UsageError for what valgrind does not take, and where there is no valgrind.
    """
    named = [] if text == THIS_MACHINE else _named(text)
    valgrind = find_valgrind()
    if valgrind is None:
        raise UsageError(f"--cache-sim needs valgrind, which is {NOT_INSTALLED}")
    with tempfile.TemporaryDirectory(prefix="allocphase-caches-") as folder:
        profile = Path(folder) / "profile"
        command = [str(valgrind), "--tool=callgrind", "--cache-sim=yes", "--vgdb=no"]
        command += [f"--{one}" for one in named] + [f"--callgrind-out-file={profile}", "true"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
            )
            if done.returncode != 0:
                raise UsageError(f"--cache-sim {shown(text)}: {plain(_objection(done.stderr))}")
            found = described_caches(read_regular_text(profile, _MAX_PROFILE_BYTES).splitlines())
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise AllocphaseError(f"--cache-sim: valgrind cannot be asked: {error}") from None
    if not found:
        raise AllocphaseError("--cache-sim: this valgrind does not say what it simulates")
    return found


def _objection(words: str) -> str:
    """The first that valgrind itself says of a size."""
    said = (line for line in words.splitlines() if line.startswith("valgrind: "))
    return next(said, "valgrind refuses it")


def _named(text: str) -> list[str]:
    """Each cache as it is written. Raises UsageError."""
    found = re.findall(_CACHE, text)
    names = [one.partition("=")[0] for one in found]
    if not found or ",".join(found) != text or len(set(names)) < len(names):
        raise UsageError(f"--cache-sim {shown(text)}: is written {_FORM}")
    return found


def described_caches(lines: Iterable[str]) -> str:
    """Those that a profile of callgrind's says it simulated; "" where it simulated none."""
    found = {}
    for line in lines:
        if match := _DESCRIBED.match(line):
            name, size, line_bytes, ways = match.groups()
            found[name] = f"{name}={size},{ways},{line_bytes}"
    return ",".join(found[name] for name in _NAMES) if found.keys() >= set(_NAMES) else ""


def cache_options(caches: str) -> list[str]:
    """callgrind's, for what `simulated_caches` returned."""
    return ["--cache-sim=yes", "--branch-sim=yes", *(f"--{one}" for one in _named(caches))]
