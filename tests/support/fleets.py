"""A fleet on this machine: dask's scheduler, workers as `allocphase fleet worker` starts them, and
controllers, each a process that can be killed. With TLS, on loopback or in network namespaces.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from allocphase.hosts.archive import digest_of_file
from allocphase.hosts.certificates import make_certificates
from allocphase.hosts.document import Fleet, HostStatus, host_folder, read_fleet
from allocphase.hosts.job import job_id
from allocphase.store.reader import RunFiles

__all__ = ["TrialFleet", "namespaces", "whole_cells"]

ALLOCPHASE = (sys.executable, "-m", "allocphase.cli")
START_S = 60.0
END_S = 600.0


def whole_cells(folder: Path, jobs: Path) -> Fleet:
    """Asserts that each host of a run has every process of its plan once, and that what came back
    is what lies on that host's disk and on no other one's.
    """
    fleet = read_fleet(folder)
    for entry in fleet.hosts:
        assert entry.status is HostStatus.DONE, entry
        files = RunFiles(host_folder(folder, entry.name))
        ids = [record.id for record in files.processes()]
        assert len(ids) == len(set(ids)) > 0
        assert files.unfinished() is None
        own = job_id(fleet.id, entry.name)
        where = [path.parent.parent.name for path in jobs.glob(f"*/jobs/{own}")]
        assert where == [entry.name]
        sent = jobs / entry.name / "jobs" / own / "result.tar.zst"
        assert digest_of_file(sent) == entry.archive
    return fleet


class TrialFleet:
    """The processes of a fleet. `prefix`: of each role's command, by host or "scheduler"; `lock`:
    the machine's, so that hosts take turns; without it each has one of its own, as machines have.
    """

    def __init__(
        self,
        folder: Path,
        hosts: Sequence[str],
        *,
        address: str = "127.0.0.1",
        prefix: Mapping[str, Sequence[str]] | None = None,
        lock: Path | None = None,
    ) -> None:
        self.folder = folder
        self.hosts = tuple(hosts)
        self.jobs = folder / "jobs"
        self._prefix = prefix or {}
        self._lock = lock
        self._certificates = folder / "certificates"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._controllers: list[subprocess.Popen[bytes]] = []
        make_certificates(self._certificates)
        self.url = f"tls://{address}:{_free_port()}"

    def start(self, who: str) -> None:
        """ "scheduler", or the worker of a host."""
        command = self._scheduler() if who == "scheduler" else self._worker(who)
        lock = {"ALLOCPHASE_LOCK": str(self._lock or self.folder / f"{who}.lock")}
        with (self.folder / f"{who}.log").open("ab") as log:
            self._processes[who] = subprocess.Popen(
                [*self._prefix.get(who, ()), *command],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **lock},
            )

    def kill(self, who: str, *, whole: bool = False) -> None:
        """With SIGKILL: of a host the worker, which its supervisor starts again; `whole`: both."""
        process = self._processes[who]
        if who == "scheduler" or whole:
            process.kill()
            process.wait()
            return
        for pid in _children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pid(self, who: str) -> int:
        return self._processes[who].pid

    def controller(self, *arguments: str) -> subprocess.Popen[bytes]:
        """`allocphase fleet ARGUMENT...`; what it says is in controller.log."""
        command, *rest = arguments
        secured = ["--certificates", str(self._certificates / "controller")]
        words = [*ALLOCPHASE, "fleet", command, "--scheduler", self.url, *secured, *rest]
        with (self.folder / "controller.log").open("ab") as log:
            started = subprocess.Popen(
                [*self._prefix.get("scheduler", ()), *words],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        self._controllers.append(started)
        return started

    def on_all_hosts(self) -> list[str]:
        return [word for host in self.hosts for word in ("--host", host)]

    def begun(self, count: int = 1) -> Path:
        """The folder of the newest fleet, once there are so many."""
        until = time.monotonic() + START_S
        while len(found := sorted((self.folder / "out").glob("*/fleet.json"))) < count:
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)
        return found[-1].parent

    def await_registered(self, host: str) -> None:
        """Returns once the scheduler has the host's worker, as dask's log says."""
        log, until = self.folder / f"{host}.log", time.monotonic() + START_S
        while b"Registered to" not in log.read_bytes():
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)

    def measured(self, host: str) -> int:
        """How many processes the newest job of a host has finished."""
        journals = self.jobs.glob(f"{host}/jobs/*/out/*/processes.jsonl")
        newest = max(journals, key=lambda path: path.stat().st_mtime, default=None)
        return 0 if newest is None else newest.read_bytes().count(b"\n")

    def await_measured(self, host: str, count: int = 1) -> None:
        """Returns once there are so many."""
        until = time.monotonic() + END_S
        while self.measured(host) < count:
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)

    def await_file(self, folder: Path, host: str, name: str) -> None:
        """Returns once the host has that file of its job."""
        file = self.jobs / host / "jobs" / job_id(read_fleet(folder).id, host) / name
        until = time.monotonic() + END_S
        while not file.exists():
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)

    def said(self) -> str:
        return "\n".join(
            f"{path.name}:\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(self.folder.glob("*.log"))
        )

    @contextmanager
    def running(self) -> Iterator[TrialFleet]:
        """With its scheduler and all workers; nothing of it is left afterwards."""
        try:
            for who in ("scheduler", *self.hosts):
                self.start(who)
            yield self
        finally:
            self._end()

    def _end(self) -> None:
        started = [*self._controllers, *self._processes.values()]
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=END_S)

    def _scheduler(self) -> list[str]:
        own = self._certificates / "scheduler"
        host, _, port = self.url.removeprefix("tls://").rpartition(":")
        return [
            *(sys.executable, "-m", "distributed.cli.dask_scheduler"),
            *("--protocol", "tls", "--host", host, "--port", port, "--no-dashboard"),
            *("--tls-ca-file", str(own / "ca.pem")),
            *("--tls-cert", str(own / "cert.pem")),
            *("--tls-key", str(own / "key.pem")),
        ]

    def _worker(self, host: str) -> list[str]:
        own = str(self._certificates / "worker")
        where = ["--host", host, "--dir", str(self.jobs)]
        return [*ALLOCPHASE, "fleet", "worker", self.url, "--certificates", own, *where]


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    return []


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def namespaces(hosts: Sequence[str]) -> Iterator[dict[str, list[str]]]:
    """A network namespace for each host and one for the scheduler, 10.77.0.1, with a bridge between
    them; what to put before a command that is to run there. As root alone.
    """

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    named = {who: f"allocphase-{os.getpid()}-{who}" for who in ("scheduler", *hosts)}
    centre = named["scheduler"]
    try:
        for name in named.values():
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", centre, "link", "add", "br0", "type", "bridge")
        ip("-n", centre, "addr", "add", "10.77.0.1/24", "dev", "br0")
        ip("-n", centre, "link", "set", "br0", "up")
        for index, host in enumerate(hosts):
            peer = ("type", "veth", "peer", "name", "eth0", "netns", named[host])
            ip("-n", centre, "link", "add", f"v{index}", *peer)
            ip("-n", centre, "link", "set", f"v{index}", "master", "br0", "up")
            ip("-n", named[host], "addr", "add", f"10.77.0.{index + 11}/24", "dev", "eth0")
            ip("-n", named[host], "link", "set", "eth0", "up")
        yield {who: ["ip", "netns", "exec", name] for who, name in named.items()}
    finally:
        for name in named.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
