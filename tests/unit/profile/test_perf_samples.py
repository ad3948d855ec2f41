"""What `perf script` prints, taken apart: whose sample it is, and the stack of the allocator's."""

from __future__ import annotations

from pathlib import Path

from allocphase.profile.perf import read_samples
from allocphase.profile.stacks import FOREIGN, Frame, Kind

DRIVER = Path("/opt/allocphase-driver")
MINE = Path("/opt/libmine.so")
# As perf 6.1 prints it with -F comm,event,ip,sym,dso; addresses of the kernel are in their half.
HEAD = "allocphase-driv cycles:ppp: "
REPLAY = [
    "\t           1e6d6 replay_threaded (/opt/allocphase-driver)",
    "\t           891f4 start_thread (/usr/lib/libc.so.6)",
]
MADVISE = [
    "\tffffffff815e2dba vm_normal_page ([kernel.kallsyms])",
    "\tffffffff8163e237 __x64_sys_madvise ([kernel.kallsyms])",
    "\tffffffff821ef691 do_syscall_64 ([kernel.kallsyms])",
    "\tffffffff81000130 entry_SYSCALL_64_after_hwframe ([kernel.kallsyms])",
    "\t          101b07 __madvise (/usr/lib/libc.so.6)",
]
FAULT = [
    "\tffffffff815ebeb5 do_anonymous_page ([kernel.kallsyms])",
    "\tffffffff81000c82 asm_exc_page_fault ([kernel.kallsyms])",
]


def sample(*frames: str, head: str = HEAD) -> list[str]:
    return [head, *frames, ""]


def own(name: str) -> Frame:
    return Frame(name, "libmine.so", Kind.ALLOCATOR)


def test_a_stack_begins_with_the_outermost_frame_of_the_allocator() -> None:
    free = "\t           350db mine::free(void*, int) (/opt/libmine.so)"
    found = read_samples(sample(free, *REPLAY), [MINE], driver=DRIVER)
    assert found.stacks == {(own("mine::free(void*, int)"),): 1}
    assert (found.event, found.sees_the_kernel, found.unnamed) == ("cycles:ppp", True, 0)


def test_what_the_kernel_does_for_it_is_one_frame_by_what_led_there() -> None:
    purge = "\t           94ee7 purge (/opt/libmine.so)"
    lines = [*sample(*MADVISE, purge, *REPLAY), *sample(*FAULT, purge, *REPLAY)]
    found = read_samples(lines, [MINE], driver=DRIVER)
    wrapper = Frame("__madvise", "libc.so.6", Kind.OTHER)
    assert found.stacks == {
        (own("purge"), wrapper, Frame("madvise", "kernel", Kind.KERNEL)): 1,
        (own("purge"), Frame("page fault", "kernel", Kind.KERNEL)): 1,
    }


def test_the_replay_s_own_work_and_its_faults_are_no_stacks() -> None:
    lines = [
        *sample(*REPLAY),
        *sample(*FAULT, *REPLAY),
        *sample("\t  1ab77 _start (/lib/ld-linux-x86-64.so.2)"),
    ]
    found = read_samples(lines, [MINE], driver=DRIVER)
    assert (found.stacks, found.rest) == ({}, {FOREIGN[0]: 2, FOREIGN[2]: 1})


def test_of_a_program_the_rest_is_its_own() -> None:
    found = read_samples(sample("\t 1 main (/bin/app)"), [MINE], driver=None)
    assert found.rest == {FOREIGN[1]: 1}


def test_of_libc_only_malloc_is_the_allocator_and_its_names_lose_their_version() -> None:
    lines = [
        *sample("\t 98109 _int_malloc (/lib/libc.so.6)", "\t 98ac9 malloc (/lib/libc.so.6)"),
        *sample("\t 98ac9 cfree@GLIBC_2.2.5 (/lib/libc.so.6)", *REPLAY),
        *sample("\t 1 __memset_avx2_erms (/lib/libc.so.6)", *REPLAY),
        *sample("\t 1 printf (/lib/libc.so.6)"),
    ]
    found = read_samples(lines, [], driver=DRIVER)
    names = [tuple(frame.name for frame in stack) for stack in found.stacks]
    assert names == [("malloc", "_int_malloc"), ("free",)]
    assert found.rest == {FOREIGN[0]: 1, FOREIGN[2]: 1}


def test_frames_without_a_name_are_their_object_once() -> None:
    nameless = ["\t 94ee7 [unknown] (/opt/libmine.so)", "\t 87d3f [unknown] (/opt/libmine.so)"]
    found = read_samples(sample(*nameless, *REPLAY), [MINE], driver=DRIVER)
    assert (found.stacks, found.unnamed) == ({(own("(libmine.so)"),): 1}, 1)


def test_what_could_not_be_unwound_is_no_kernel() -> None:
    lost = "\tffffffffffffffff [unknown] ([unknown])"
    found = read_samples(sample("\t 1 free (/opt/libmine.so)", lost), [MINE], driver=DRIVER)
    assert list(found.stacks) == [(own("free"),)]


def test_perf_that_may_not_look_at_the_kernel_says_so_in_its_event() -> None:
    free = "\t 1 free (/opt/libmine.so)"
    for event, sees in (("cpu-clock:uhppp", False), ("cycles:u", False), ("cycles", True)):
        found = read_samples(sample(free, head=f"app {event}: "), [MINE], driver=DRIVER)
        assert (found.event, found.sees_the_kernel) == (event, sees)
