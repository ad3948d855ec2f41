"""What the machine is, read off made-up kernel files; the CPUs to time on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.files.elf import loaded_sha256
from allocphase.machine.environment import environment, timed_cpus
from allocphase.machine.fingerprint import (
    CALL_FACTS,
    FACTS,
    INSTRUCTION_FACTS,
    MEMORY_FACTS,
    SIMULATION_FACTS,
    TIME_FACTS,
    differences,
    fingerprint,
    machine_facts,
)
from tests.support.plugins import ROOT


def kernel(folder: Path, siblings: dict[int, str]) -> Path:
    """A /sys that knows these CPUs' cores."""
    for cpu, text in siblings.items():
        path = folder / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        path.parent.mkdir(parents=True)
        path.write_text(text + "\n")
    return folder


def allow(monkeypatch: pytest.MonkeyPatch, cpus: set[int]) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: cpus)


@pytest.mark.parametrize(
    ("siblings", "order"),
    [
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, [3, 1, 2, 0]),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, [3, 2, 1, 0]),
        ({}, [3, 2, 1, 0]),
    ],
)
def test_one_cpu_of_each_core_comes_before_any_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, siblings: dict[int, str], order: list[int]
) -> None:
    allow(monkeypatch, {0, 1, 2, 3})
    assert timed_cpus(kernel(tmp_path, siblings)) == order


def test_only_what_is_allowed_is_timed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, {1, 2})
    assert timed_cpus(kernel(tmp_path, {1: "0-1", 2: "2-3"})) == [2, 1]


# ---- Facts -------------------------------------------------------------------------------

CPUINFO = """processor	: 0
cpu family	: 25
model		: 17
model name	: AMD EPYC
stepping	: 1
microcode	: 0xa101148
flags		: fpu vme hypervisor lahf_lm

processor	: 1
model name	: another
"""
ARM = """processor	: 0
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x3
CPU part	: 0xd0c
CPU revision	: 1
"""
THP = "sys/kernel/mm/transparent_hugepage"
CPU = "sys/devices/system/cpu"


def facts_of(folder: Path, **files: str) -> dict[str, object]:
    """The environment where these are all files of the kernel's that there are."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return environment(folder / "proc", folder / "sys")


def test_a_chip_is_told_by_more_than_its_name(tmp_path: Path) -> None:
    found = facts_of(tmp_path, **{"proc/cpuinfo": CPUINFO})
    assert found["cpu"] == "AMD EPYC"
    assert found["chip"] == "family 25, model 17, stepping 1"
    assert (found["microcode"], found["virtual"]) == ("0xa101148", True)
    found = facts_of(tmp_path, **{"proc/cpuinfo": ARM})
    assert found["chip"] == "implementer 0x41, part 0xd0c, variant 0x3, revision 1"
    assert (found["cpu"], found["microcode"], found["virtual"]) == ("0xd0c", None, None)


@pytest.mark.parametrize(
    ("name", "text", "boost"),
    [
        ("cpufreq/boost", "1\n", True),
        ("cpufreq/boost", "0\n", False),
        ("intel_pstate/no_turbo", "1\n", False),
        ("intel_pstate/no_turbo", "0\n", True),
        ("intel_pstate/no_turbo", "?\n", None),
    ],
)
def test_both_drivers_words_for_boost_are_known(
    tmp_path: Path, name: str, text: str, boost: bool | None
) -> None:
    assert facts_of(tmp_path, **{f"{CPU}/{name}": text})["boost"] is boost


def test_huge_pages_are_told_with_every_size_that_is_in_use(tmp_path: Path) -> None:
    found = facts_of(
        tmp_path,
        **{
            f"{THP}/enabled": "always [madvise] never\n",
            f"{THP}/defrag": "always defer defer+madvise [madvise] never\n",
            f"{THP}/shmem_enabled": "always within_size advise [never] deny force\n",
            f"{THP}/hugepages-2048kB/enabled": "always [inherit] madvise never\n",
            f"{THP}/hugepages-64kB/enabled": "[always] inherit madvise never\n",
            f"{THP}/hugepages-32kB/enabled": "always inherit madvise [never]\n",
        },
    )
    assert found["transparent_huge_pages"] == "madvise"
    assert (found["huge_page_defrag"], found["huge_page_shmem"]) == ("madvise", "never")
    assert found["huge_page_sizes"] == {"64kB": "always", "2048kB": "inherit"}


def test_mitigations_are_told_in_brief(tmp_path: Path) -> None:
    folder = f"{CPU}/vulnerabilities"
    found = facts_of(
        tmp_path,
        **{
            f"{folder}/spectre_v2": "Mitigation: Retpolines; STIBP: disabled; RSB filling\n",
            f"{folder}/meltdown": "Not affected\n",
            f"{folder}/spec_store_bypass": "Vulnerable\n",
        },
    )
    assert found["mitigations"] == {"spec_store_bypass": "Vulnerable", "spectre_v2": "Retpolines"}


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/a/b\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "a/b/cpu.max": "max 100000\n"}, "unlimited"),
        ({"proc/self/cgroup": "0::/a/b\n", "a/b/cpu.max": "150000 100000\n"}, 1.5),
        (  # whoever is above has a quota too
            {
                "proc/self/cgroup": "0::/a/b\n",
                "a/b/cpu.max": "max 100000\n",
                "a/cpu.max": "50000 100000\n",
            },
            0.5,
        ),
        # In a container the path is the host's, and the root its own.
        ({"proc/self/cgroup": "0::/../x\n", "cpu.max": "200000 100000\n"}, 2.0),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/job\n1:name=systemd:/\n0::/\n",
                "cpu,cpuacct/job/cpu.cfs_quota_us": "25000\n",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            0.25,
        ),
        ({"proc/self/cgroup": "nonsense\n:\n0::\n", "cpu.max": "5\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "cpu.max": "1 0\n"}, None),
    ],
)
def test_the_least_quota_of_a_process_s_groups_holds(
    tmp_path: Path, files: dict[str, str], quota: object
) -> None:
    placed = {n if n.startswith("proc") else f"sys/fs/cgroup/{n}": t for n, t in files.items()}
    assert facts_of(tmp_path, **placed)["cpu_quota"] == quota


def test_the_loaded_libc_is_digested_whatever_its_version_says(tmp_path: Path) -> None:
    library = tmp_path / "libc.so.6"
    library.write_bytes(b"patched")
    line = f"7f00-7f01 r-xp 00000000 fe:00 42        {library}"
    for end in ("", " (deleted)"):
        found = facts_of(tmp_path, **{"proc/self/maps": f"7e00-7e01 rw-p 0 00:00 0\n{line}{end}\n"})
        assert found["libc_sha256"] == loaded_sha256(library)
    library.unlink()
    assert facts_of(tmp_path)["libc_sha256"] is None


def test_caches_are_named_by_level_and_kind(tmp_path: Path) -> None:
    cache = "sys/devices/system/cpu/cpu0/cache"
    sizes = {"Data": ("1", "48K"), "Instruction": ("1", "32K"), "Unified": ("3", "32768K")}
    files = {
        f"{cache}/index{number}/{name}": text
        for number, (kind, (level, size)) in enumerate(sizes.items())
        for name, text in (("type", kind), ("level", level), ("size", size))
    }
    assert facts_of(tmp_path, **files)["caches"] == {"L1d": "48K", "L1i": "32K", "L3": "32768K"}


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    found = facts_of(tmp_path)
    from_files = {name for name, value in found.items() if value is None}
    assert from_files >= {
        *("chip", "microcode", "smt", "cpu_quota", "virtual", "governor", "boost", "mitigations"),
        *("libc_sha256", "transparent_huge_pages", "huge_page_defrag", "huge_page_shmem"),
        *("huge_page_sizes", "overcommit", "aslr", "caches"),
    }


def test_this_machine_has_every_fact_under_its_name_and_its_libc_s_digest() -> None:
    here = fingerprint()
    assert tuple(here) == FACTS
    assert set(FACTS) - set(environment()) == {"driver"}
    assert here["driver"] == loaded_sha256(resources.find("driver/allocphase-driver"))
    assert len(str(here["libc_sha256"])) == 64
    assert differences(here, fingerprint()) == {}


def test_each_group_of_facts_has_all_of_the_one_before() -> None:
    assert set(CALL_FACTS) < set(MEMORY_FACTS) < set(TIME_FACTS)
    assert set(FACTS) == set(TIME_FACTS) | set(SIMULATION_FACTS)
    assert set(INSTRUCTION_FACTS) < set(SIMULATION_FACTS)
    assert len(set(FACTS)) == len(FACTS)
    assert not {"load_average", "memory_bytes", "python", "user"} & set(FACTS)


def test_a_difference_is_told_in_a_line_and_what_one_side_lacks_is_one() -> None:
    before = machine_facts({"cpus": 1, "tuning": {}, "boost": False}, driver="a" * 64)
    after = machine_facts({"cpus": 2, "tuning": {"MALLOC_X": "1"}}, driver="b" * 64)
    assert differences(before, after) == {
        "cpus": "cpus: 1 then, 2 now",
        "tuning": "tuning: none then, MALLOC_X: 1 now",
        "driver": "driver: aaaaaaaaaaaa then, bbbbbbbbbbbb now",
        "boost": "boost: False then, not known now",
    }


def test_every_fact_is_documented_with_what_it_moves() -> None:
    text = (ROOT / "docs" / "schema.md").read_text("utf-8")
    section = text.partition("## Facts of the machine")[2].partition("\n## ")[0]
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| (calls|memory|times|instructions|nothing) \|$", section, re.MULTILINE
    )
    groups = {
        "calls": CALL_FACTS,
        "memory": MEMORY_FACTS[len(CALL_FACTS) :],
        "times": TIME_FACTS[len(MEMORY_FACTS) :],
        "instructions": INSTRUCTION_FACTS[len(CALL_FACTS) :],
        "nothing": tuple(set(environment()) - set(FACTS)),
    }
    for group, facts in groups.items():
        assert {name for name, moved in rows if moved == group} == set(facts), group
