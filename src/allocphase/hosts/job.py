"""A job: what one host is to measure, as data. The host makes a command line of it, and nothing but
an option of this list gets into that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from allocphase import __version__
from allocphase.errors import UsageError, shown
from allocphase.files.documents import parse_json
from allocphase.files.typed import Count, FieldError, plain, read
from allocphase.hosts.document import (
    Digest,
    Fleet,
    HostName,
    Kind,
    Option,
    SentObject,
)

__all__ = ["FLAGS", "HostResult", "Job", "job_id", "job_of", "read_job", "read_result", "written"]

_SHARED = (
    "--scenario --mode --touch --program --name --env --cwd --stdin --seed --timeout "
    "--keep-allocator-environment"
)
# What of the options of `run` and `gate` may be asked of a host. Not: where its files go, what is
# printed, saved baselines, which are of one machine, and repositories.
FLAGS: Mapping[str, frozenset[str]] = {
    "run": frozenset(
        f"{_SHARED} --allocator --sweep --probe --rounds --quick --time-budget --cflags "
        "--check-every --keep-failed --syscall-backend".split()
    ),
    "gate": frozenset(
        f"{_SHARED} --baseline --candidate --theta --memory-theta --limit --limits --tails "
        "--only-counts --max-rounds --time-budget --inconclusive".split()
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One host's part of a fleet. The same id is the same job, however often it is given."""

    fleet: HostName
    version: str
    kind: Kind
    host: HostName
    options: tuple[Option, ...]
    objects: tuple[SentObject, ...]

    def __post_init__(self) -> None:
        for index, option in enumerate(self.options):
            if option.flag not in FLAGS[self.kind]:
                raise FieldError("is no option for a host", f".options[{index}].flag")
            if option.sent is not None and option.sent >= len(self.objects):
                raise FieldError("there is no such object", f".options[{index}].sent")

    @property
    def id(self) -> str:
        return job_id(self.fleet, self.host)

    @property
    def digests(self) -> frozenset[str]:
        """Of all files that it brings along."""
        return frozenset(file.sha256 for one in self.objects for file in one.files)

    def arguments(self, objects: Sequence[Path]) -> list[str]:
        """The command line, without where its results go. objects: where each of them lies."""
        return [self.kind, *(_argument(option, objects) for option in self.options)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostResult:
    """What came of a job on its host. exit_code: of the command; archive, size_bytes: of what is to
    be fetched, None where there is nothing; reason: why that is, or what the command said last.
    """

    exit_code: int
    archive: Digest | None = None
    size_bytes: Count = 0
    reason: str = ""


def job_id(fleet: str, host: str) -> str:
    """Of a host's job; also the name of its folder there."""
    return f"{fleet}-{host}"


def job_of(fleet: Fleet, host: str) -> Job:
    """The part of one host."""
    return Job(
        fleet=fleet.id,
        version=fleet.version,
        kind=fleet.kind,
        host=host,
        options=fleet.options,
        objects=fleet.objects,
    )


def read_job(text: str, *, host: str) -> Job:
    """What a worker was given. Raises UsageError where it is none, of another host or version."""
    try:
        values = parse_json(text)
        version = values.get("version") if isinstance(values, dict) else None
        if version != __version__:  # first: another version may have other keys
            raise UsageError(
                f"the job is of allocphase {shown(version)}, and {host} has {__version__}: install "
                "the same on both"
            )
        job = read(Job, values, strict=True)
    except ValueError as error:
        raise UsageError(f"no job of allocphase {__version__}: {error}") from None
    if job.host != host:
        raise UsageError(f"the job is for host {job.host}, and this is {host}")
    return job


def read_result(text: str) -> HostResult:
    """Raises UsageError."""
    try:
        return read(HostResult, parse_json(text))
    except ValueError as error:
        raise UsageError(f"no result of allocphase {__version__}: {error}") from None


def written(document: Job | HostResult) -> str:
    """As JSON."""
    return json.dumps(plain(document), ensure_ascii=False)


def _argument(option: Option, objects: Sequence[Path]) -> str:
    """In one piece, so that no value is taken for an option."""
    sent = "" if option.sent is None else str(objects[option.sent])
    if option.value is None and not sent:
        return option.flag
    return f"{option.flag}={option.value or ''}{sent}{option.rest}"
