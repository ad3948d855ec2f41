"""Recorded scenarios: trace files by their path, or named in a scenario's file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from allocphase import trace
from allocphase.errors import UsageError
from allocphase.scenario import Recorded, digest_of, generate, load, resolve
from allocphase.spec import Spec
from allocphase.trace.encoding import sealed
from allocphase.trace.provenance import Provenance, written_provenance
from allocphase.trace.records import Touch, gap_codes
from allocphase.trace.stored import packed_copy
from tests.support.traces import batch, write_trace

SAID = Provenance(
    origin="recorded by allocphase record",
    command=("jq", ".", "a b.json"),
    recorded="2026-11-28T10:00:00+00:00",
    allocator="/usr/lib/libc.so.6",
    threads=2,
)
TEXTS = 'title = "t"\nstands_for = "s"\nsource = "o"\ndoes_not_show = "d"\n'


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "app.trace", batch(5), meta=written_provenance(SAID))


def found(spec: str) -> Recorded:
    [one] = resolve(spec)
    assert isinstance(one, Recorded)
    return one


def test_a_trace_file_is_a_scenario_that_describes_itself(app: Path) -> None:
    one = found(str(app))
    assert one.name == "app"
    assert one.title == "Recorded: jq . 'a b.json'"
    assert "jq . 'a b.json', recorded on 2026-11-28 under /usr/lib/libc.so.6" in one.stands_for
    assert one.labels == (), "nobody has held it against its program"
    assert one.provenance == SAID
    assert generate(one).digest == digest_of(one) == trace.read(app).digest


def test_a_packed_trace_has_the_same_name_and_digest(app: Path) -> None:
    packed_copy(app, app.with_name("app.trace.zst"))
    one, other = found(str(app)), found(f"{app}.zst")
    assert (other.name, digest_of(other)) == (one.name, digest_of(one))


@pytest.mark.parametrize("name", ["app.trace", "x/app.trace", "app.trace.zst"])
def test_its_path_is_its_specification(name: str) -> None:
    spec = Spec.of_scenario(name)
    assert spec.is_path
    assert spec.label == "app"


def test_a_trace_without_a_description_is_a_scenario_too(tmp_path: Path) -> None:
    assert found(str(write_trace(tmp_path / "x.trace", batch(2)))).title == "The trace x.trace"


def test_a_scenario_file_names_a_trace_beside_it(app: Path) -> None:
    path = app.with_name("mine.toml")
    path.write_text(f'{TEXTS}trace = "app.trace"\ntouch = "all"\n')
    one = load(path)
    assert isinstance(one, Recorded)
    assert (one.name, one.title, one.touch) == ("mine", "t", Touch.ALL)
    assert digest_of(one) != trace.read(app).digest
    assert one.write(app.with_name("y")) == digest_of(one)


def test_a_scenario_file_says_what_was_recorded(app: Path) -> None:
    path = app.with_name("mine.toml")
    path.with_name("input").write_text("x")
    table = '[program]\ncommand = ["cat", "{inputs}/input"]\nfiles = ["input"]'
    path.write_text(f'{TEXTS}trace = "app.trace"\nseed = 1\n{table}\n')
    one = load(path)
    assert isinstance(one, Recorded)
    assert one.program is not None
    assert (one.name, one.program.name, one.program.missing) == ("mine", "mine-program", None)
    inputs = app.with_name("inputs")
    inputs.mkdir()
    one.program.make_inputs(inputs)
    assert one.program.arguments(inputs) == ["cat", str(inputs / "input")]
    assert (inputs / "input").read_text() == "x"
    assert one.with_parameters({"touch": "all"}).program == one.program


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('trace = "no.trace"', r"trace: '.*no\.trace': no such file"),
        ('trace = "app.trace"\nfamily = "window"', "family: is not for a recording"),
        ('trace = "app.trace"\nseed = 3', "seed: is not for a recording"),
        ('trace = "app.trace"\nwork_ns = 3', "work_ns: is not for a recording"),
        ('trace = "app.trace"\nprogram = {command = ["x"]}', "seed: missing"),
        ('family = "window"\ntouch = "none"', "seed: missing"),
    ],
)
def test_a_key_that_does_not_fit_is_named(app: Path, line: str, reason: str) -> None:
    path = app.with_name("mine.toml")
    path.write_text(f"{TEXTS}{line}\n")
    with pytest.raises(UsageError, match=reason):
        load(path)


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("live=5", "a recording has mode and touch, and no 'live'"),
        ("mode=pace", "mode 'pace' does not exist.* 'paced'"),
        ("touch=page", "touch 'page' does not exist.* 'pages'"),
        ("mode=paced", "the trace has no recorded gaps"),
        ("touch=recorded", "what was touched was not recorded"),
    ],
)
def test_what_a_recording_cannot_be_set_to_is_refused(
    app: Path, setting: str, problem: str
) -> None:
    with pytest.raises(UsageError, match=f"scenario app: .*{problem}"):
        resolve(f"{app}?{setting}")


def test_pace_and_touch_are_settings_with_a_digest_of_their_own(tmp_path: Path) -> None:
    (generated,) = resolve("phase-report?allocations=40")
    made = generate(generated)
    path = tmp_path / "app.trace"
    gaps = gap_codes(np.full(len(made.ops), 1_000, np.uint64))
    trace.write(sealed(replace(made, gaps=gaps)), path)
    found = resolve(f"{path}?mode=asap,paced&touch=none,pages")
    assert [one.name for one in found] == [
        f"app?mode={mode}&touch={touch}"
        for mode in ("asap", "paced")
        for touch in ("none", "pages")
    ]
    digests = {digest_of(one) for one in found}
    assert len(digests) == 4
    for one in found:
        assert isinstance(one, Recorded)
        assert one.write(tmp_path / "copy.trace") == digest_of(one)
        copy = trace.read(tmp_path / "copy.trace")
        assert (copy.paced, copy.touch) == (one.paced, one.touch)


def test_what_is_no_trace_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.trace"
    path.write_bytes(b"something else" * 20)
    with pytest.raises(UsageError, match=r"x\.trace: is no trace"):
        resolve(str(path))
    with pytest.raises(UsageError, match=r"y\.trace: No such file"):
        resolve(str(tmp_path / "y.trace"))


def test_a_damaged_trace_is_refused_before_anything_runs(app: Path) -> None:
    content = bytearray(app.read_bytes())
    content[-1] ^= 1
    app.write_bytes(content)
    with pytest.raises(UsageError, match=r"app\.trace: has digest"):
        generate(found(str(app)))
