"""What the driver takes from libc: the less, the less a preload can put its own in the place of."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable

from allocphase import resources
from tests.support.plugins import ROOT

# Of the keeper, which no subject's code runs in; and of the driver before any does.
KEEPERS = """
    closedir dirfd dprintf dup2 execv fdopendir fork fstatat openat opendir pipe2 pread readdir recv
    sched_setscheduler setenv setpriority setrlimit setsid sigaddset sigemptyset signal sigprocmask
    sigtimedwait snprintf socketpair sscanf strtol strtoull sysinfo waitid
"""
# Of what runs a program (driver/program.c): no subject's code runs in it either.
PROGRAMS = "execvp nanosleep readlink"
# Proved to be libc's when it starts: driver/binding.c.
PROVED = """
    dladdr dlerror dlinfo dlopen dlsym pthread_attr_destroy pthread_attr_init pthread_attr_setstack
    pthread_create pthread_join pthread_mutex_consistent pthread_mutex_init pthread_mutex_lock
    pthread_mutex_unlock pthread_mutexattr_destroy pthread_mutexattr_init
    pthread_mutexattr_setrobust setlocale strerror uselocale
"""
# No function: the driver's own copy of a variable.
DATA = {"environ"}
NAMES = {*KEEPERS.split(), *PROGRAMS.split(), *PROVED.split(), *DATA}


def test_the_driver_takes_no_more_from_libc_than_it_has_to(
    needs: Callable[..., None],
) -> None:
    """A name that is new here belongs into driver/base/freestanding.c, or into these lists."""
    needs(shutil.which("nm"), "nm", install="apt-get install binutils")
    driver = resources.find("driver/allocphase-driver")
    done = subprocess.run(["nm", "-D", str(driver)], capture_output=True, text=True, check=True)
    found = {line.split()[-1].partition("@")[0] for line in done.stdout.splitlines()}
    found = {name.removeprefix("__isoc99_").removeprefix("__isoc23_") for name in found}
    own_business_of_the_linker = {name for name in found if name.startswith("_")}
    assert found - own_business_of_the_linker - NAMES == set()


def test_nothing_of_its_own_is_offered_to_others() -> None:
    """Else libc and the subject would call it."""
    text = (ROOT / "driver/base/freestanding.c").read_text(encoding="utf-8")
    functions = re.findall(r"^(?!static|typedef|OWN|void freestanding_bind)\w.*\) \{", text, re.M)
    assert functions == []
