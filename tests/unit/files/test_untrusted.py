"""Documents and archives from elsewhere: bounded, and refused in one line that names the file."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allocphase import allocator, scenario
from allocphase.errors import DataError, UsageError, shown
from allocphase.files.archive import read_archive
from allocphase.files.documents import MAX_DEPTH, MAX_TOML_BYTES, parse_json, read_json, read_toml
from allocphase.files.typed import FieldError, read
from allocphase.probe.arrays import load_arrays, save_arrays
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result, check_result
from allocphase.probe.status import Status
from allocphase.scenario.families import FAMILIES
from tests.support.scenarios import TRACED, load_traced

# ---- JSON and TOML -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper than"),
        ('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), "nested deeper than"),
        ('{"a": NaN}', "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[1e999]", "beyond what a double holds"),
        (f"[{2**64}]", "more than 64 bits"),
        ("[" + "1" * 5000 + "]", "more than 64 bits"),
        (r'["\ud800"]', "no Unicode"),
        (r'{"\udfff": 1}', "no Unicode"),
        ('{"' + "k" * 400 + '": 1}', "a key of more than"),
        ("{'a': 1}", "Expecting property name"),
    ],
)
def test_json_that_would_harm_its_readers_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)
    path = tmp_path / "some.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=reason) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path}: not readable as JSON: ")


def test_json_of_ordinary_size_is_read_as_it_is() -> None:
    value: dict[str, Any] = {"a": [1, -2.5, None, True, "\N{GREEK SMALL LETTER MU}"], "b": {}}
    assert parse_json(json.dumps(value)) == value
    assert parse_json(f"[{2**64 - 1}, {-(2**64) + 1}]") == [2**64 - 1, -(2**64) + 1]
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert json.dumps(parse_json(deepest)) == deepest


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\u001b[31mred"', "\ufffd[31mred"),
        (r'"\u009B2J\u007f\b\f\u0000"', "\ufffd2J" + "\ufffd" * 4),
        ('"\x7f\x9b"', "\ufffd\ufffd"),
        (r'{"\u0007": 1}', {"\ufffd": 1}),
        (r'"safe \u202Efdp.exe\u2069"', "safe \ufffdfdp.exe\ufffd"),
        ('"\u202a\u2066"', "\ufffd\ufffd"),
        (r'"\\u001b \\\\b"', "\\u001b \\\\b"),
        (r'"a\tb\nc\r\u00e9"', "a\tb\nc\r\u00e9"),
    ],
)
def test_what_would_command_a_terminal_is_replaced_and_nothing_else(
    text: str, value: object
) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r'a = "\u001b[2J"', "control characters"),
        (r'"\u0000" = 1', "control characters"),
        (r'title = "\u202e"', "control characters"),
        ('title = "\u2067"', "control characters"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a" + ".a" * 900 + " = 1", "nested deeper than"),
        ("a" + ".a" * 60_000 + " = 1", "a line with more than 1000 dots"),
        ("a = 0x" + "f" * 200, "more than 64 bits"),
        ("a = '" + "x" * MAX_TOML_BYTES + "'", "longer than"),
    ],
)
def test_toml_that_would_harm_its_readers_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "some.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=reason) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_cannot_be_read_is_named_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder, and no TOML file"):
        read_toml(tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        read_toml(tmp_path / "none")
    with pytest.raises(FileNotFoundError):  # what that means, the caller knows
        read_json(tmp_path / "none")


def test_an_error_quotes_no_more_than_a_line() -> None:
    assert shown("short") == "'short'"
    assert len(shown(["x" * 5000] * 100)) <= 100
    assert len(shown({str(i): "y" * 5000 for i in range(100)})) <= 100


# ---- Results -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "result", "fault"),
    [
        ("throughput", {}, ".throughput: missing"),
        (
            "throughput",
            {"throughput": {"cold_ns_per_op": -1.0, "warm_ns_per_op": []}},
            ".throughput.cold_ns_per_op",
        ),
        ("latency", {"clock": {"hz": 0, "overhead_ns": 1, "step_ns": 1}}, ".clock.hz"),
        ("syscalls", {"syscalls": {"operation": {}}}, ".operations: must be above 0"),
        ("memory", {"memory": {"peak_live_bytes": 1}}, ".memory.peak_mapped_bytes: missing"),
        ("verify", {"usage": {"involuntary_switches": "many"}}, ".usage.involuntary_switches"),
        ("verify", {"emulated": [1]}, ".emulated[0]"),
    ],
)
def test_a_result_without_what_its_readers_need_is_none(
    probe: str, result: dict[str, Any], fault: str
) -> None:
    with pytest.raises(FieldError) as caught:
        check_result(Probe(probe), Status.OK, read(Result, result))
    assert f"{caught.value.where}: {caught.value.reason}".startswith(fault)


def test_a_process_that_failed_need_not_have_measured() -> None:
    for probe in ("throughput", "latency", "syscalls", "memory", "verify"):
        check_result(Probe(probe), Status.CRASHED, Result())


# ---- Archives ----------------------------------------------------------------------------

KNOWN: dict[str, np.dtype[Any]] = {"ticks": np.dtype("<u4"), "kind": np.dtype("u1")}


def packed(array: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array)
    return out.getvalue()


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def claiming(array: np.ndarray[Any, Any], shape: str) -> bytes:
    """The array under a header that claims another shape, padded to the length of its own."""
    content = packed(array)
    old = f"'shape': {array.shape}, }}"
    new = f"'shape': {shape}, }}"
    return content.replace(old.encode(), new.encode().ljust(len(old)), 1)


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    ticks = np.arange(1000, dtype="<u4")
    path = archive(tmp_path / "a.npz", {"ticks.npy": packed(ticks)})
    found = read_archive(path, known=KNOWN, max_bytes=4000)
    assert found["ticks"].tolist() == ticks.tolist()


TICKS = np.zeros(10, dtype="<u4")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"ticks.npy": packed(np.array([{}], dtype=object))}, "not an array of uint32"),
        ({"ticks.npy": packed(TICKS.astype("<u8"))}, "not an array of uint32"),
        ({"ticks.npy": packed(np.asfortranarray(np.zeros((2, 3), "<u4")))}, "not an array"),
        ({"ticks.npy": claiming(TICKS, "(2**40,)")}, "malformed node"),
        ({"ticks.npy": claiming(TICKS, "(99,)")}, "has 40 bytes for the shape"),
        ({"ticks.npy": claiming(TICKS, "(-1,)")}, "a shape that no array has"),
        ({"ticks.npy": claiming(TICKS, "5")}, "not an array"),
        ({"ticks.npy": packed(TICKS)[:-1]}, "has 39 bytes"),
        ({"ticks.npy": packed(TICKS) + b"x"}, "has 41 bytes"),
        ({"ticks.npy": b""}, "not a sample file"),
        ({"../ticks.npy": packed(TICKS)}, "which no process leaves"),
        ({"other.npy": packed(TICKS)}, "which no process leaves"),
        ({"ticks": packed(TICKS)}, "which no process leaves"),
    ],
)
def test_an_archive_that_claims_what_it_is_not_is_refused(
    tmp_path: Path, members: dict[str, bytes], reason: str
) -> None:
    path = archive(tmp_path / "a.npz", members)
    with pytest.raises(DataError, match=reason) as caught:
        read_archive(path, known=KNOWN, max_bytes=4000)
    assert str(caught.value).startswith(f"{path}: not a sample file: ")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A thousand times smaller packed."""
    bomb = packed(np.zeros(8_000_000, dtype="<u4"))
    path = archive(tmp_path / "a.npz", {"ticks.npy": bomb})
    assert path.stat().st_size < len(bomb) / 500
    with pytest.raises(DataError, match="claims 32000128 bytes, more than"):
        read_archive(path, known=KNOWN, max_bytes=400)


def test_what_a_run_s_operations_allow_bounds_its_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save_arrays(path, {"call_ticks": np.zeros(40_000_000, dtype="<u4")})
    with pytest.raises(DataError, match="claims 160000128 bytes, more than"):
        load_arrays(path, operations=100)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_the_packing_that_is_written_is_read(tmp_path: Path, compression: int) -> None:
    path = archive(tmp_path / "a.npz", {"ticks.npy": packed(TICKS)}, compression)
    with pytest.raises(DataError, match="packed in a way that is not read"):
        read_archive(path, known=KNOWN, max_bytes=4000)


def test_a_file_longer_than_its_arrays_can_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save_arrays(path, {"call_ticks": TICKS})
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # sparse: nothing is written
    with pytest.raises(DataError, match="longer than"):
        load_arrays(path)


# ---- Collections -------------------------------------------------------------------------


def test_a_scenario_too_long_for_any_machine_is_refused_at_once() -> None:
    for spec in ("random-churn?operations=1000000000000", "larson?replacements=1000000000"):
        (found,) = scenario.resolve(spec)
        with pytest.raises(UsageError, match=r"its parameters make up to .* operations"):
            scenario.generate(found)


@pytest.mark.parametrize(
    "setting", ["operations=1" + "0" * 300, "live=1e400", "live=nan", "operations=" + "9" * 5000]
)
def test_a_parameter_beyond_all_numbers_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match=r"parameter|must be") as caught:
        scenario.resolve(f"random-churn?{setting}")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "found", [load_traced(path) for path in TRACED], ids=lambda found: str(found.name)
)
def test_no_scenario_has_more_operations_than_it_was_said_to(found: scenario.Scenario) -> None:
    family = FAMILIES[found.family]
    most = family.most_operations(family.parameters(**found.parameters))
    assert len(scenario.generate(found).ops) <= most < scenario.collection.MAX_OPERATIONS


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('config = {"a=b" = 1}', "config"),
        ("config = {a = [1]}", "config.a"),
        ("config = 5", "config"),
        ("correct = 1", "correct"),
        ("default_scenarios = [1]", r"default_scenarios\[0\]"),
    ],
)
def test_an_allocator_file_with_a_value_of_the_wrong_kind_names_the_key(
    tmp_path: Path, text: str, key: str
) -> None:
    path = tmp_path / "allocator.toml"
    path.write_text(f'title = "T"\nsummary = "S"\nkind = "plugin"\n{text}\n', encoding="utf-8")
    with pytest.raises(UsageError, match=f"{path}: {key}"):
        allocator.load(path)


@pytest.mark.parametrize("spec", ["a\x1b[31m=b.so", "a\nb=c.so", "phase21?pool_bytes=\x07"])
def test_a_name_that_cannot_be_printed_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="it cannot be printed"):
        allocator.resolve(spec)
