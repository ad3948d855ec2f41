"""Mutations: real files made hostile. Every choice comes from the generator that is passed in."""

from __future__ import annotations

import io
import json
import math
import random
import re
import zipfile
from collections.abc import Mapping, MutableMapping, MutableSequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "mutated_arrays",
    "mutated_bytes",
    "mutated_json",
    "mutated_numbers",
    "mutated_text",
    "mutated_toml",
    "toml_text",
]

DEEP = 100_000
SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 5, 33, 255, 10**5),
    *(2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64, 10**12, 10**30, -(10**30)),
    *(0.0, -0.5, 1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf),
    *("", "a", "0", "-1", "x" * 5000, "../../../x", "/", "*", "[", "%s%n", "ok", "time"),
    *("a\0b", "\x1b[31m", "\ud800", "\u202e", "<script>alert(1)</script>", "]]>", "1" * 5000),
)
SEPARATORS = "?&=,+:*[]%./\\ \n\t'\"#"
CONTAINERS: tuple[str, ...] = ("[]", "{}", "[[]]", "[null]", '{"": {}}', "[1, 2, 3, 4, 5, 6]")


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flips, cuts, repetitions and insertions, a few of them."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        length = min(rng.choice((1, 2, 8, 64, 1000)), len(data) - at)
        match rng.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at:at] = rng.randbytes(rng.choice((1, 4, 16)))
            case _:
                data[at : at + length] = bytes([rng.choice((0, 255, 127, 10))]) * length
    return bytes(data)


def mutated_text(text: str, rng: random.Random) -> str:
    """Characters of a word dropped, repeated, or replaced by what means something elsewhere."""
    letters = list(text)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(letters) + 1)
        match rng.randrange(4):
            case 0:
                letters[at : at + 1] = []
            case 1:
                letters[at:at] = letters[at : at + 5] * rng.choice((1, 2, 40))
            case 2:
                letters[at:at] = [rng.choice(SEPARATORS)] * rng.choice((1, 1, 2, 3000))
            case _:
                letters[at:at] = [str(_hostile(rng))]
    return "".join(letters)


def mutated_numbers(text: str, rng: random.Random) -> str:
    """Some of a text's numbers are others, in range and far beyond."""
    share = rng.choice((0.02, 0.2))

    def another(number: re.Match[str]) -> str:
        if rng.random() > share:
            return number[0]
        return f"{10 ** rng.uniform(-25, 25):g}" if rng.random() < 0.5 else str(_hostile(rng))

    return re.sub(r"[0-9]+(\.[0-9]+)?", another, text)


def mutated_json(document: Any, rng: random.Random) -> bytes:
    """A JSON document with some of its values replaced, dropped or moved."""
    text = json.dumps(_mutated(document, rng))
    if rng.random() < 0.02:
        opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
        text = text.replace("null", opening * DEEP + "1" + closing * DEEP, 1)
    content = text.encode()
    return mutated_bytes(content, rng) if rng.random() < 0.1 else content


def mutated_toml(document: Mapping[str, Any], rng: random.Random) -> bytes:
    """A TOML document, likewise."""
    text = toml_text(_mutated(document, rng))
    if rng.random() < 0.02:
        text += rng.choice(("x = " + "[" * DEEP, "x = " + "{a=" * DEEP, "a." * DEEP + "b = 1"))
    content = text.encode("utf-8", errors="replace")
    return mutated_bytes(content, rng) if rng.random() < 0.2 else content


def toml_text(document: object) -> str:
    """What TOML can say of a document; the rest is left out."""
    if not isinstance(document, dict):
        return f"document = {_toml(document)}\n"
    return "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in document.items())


def _key(key: str) -> str:
    return json.dumps(key)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if value is None:
        return '"none"'
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


def _mutated(document: Any, rng: random.Random) -> Any:
    copy = json.loads(json.dumps(document))
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        places = list(_places(copy))
        if not places:
            return _hostile(rng)
        container, key = rng.choice(places)
        _change(container, key, rng, other=rng.choice(places))
    return copy


def _places(value: Any) -> Any:
    """Every (container, key) below a value."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            for key in list(one) if isinstance(one, dict) else range(len(one)):
                yield one, key
                waiting.append(one[key])


def _change(container: Any, key: Any, rng: random.Random, *, other: tuple[Any, Any]) -> None:
    match rng.randrange(6):
        case 0:
            del container[key]
        case 1 if isinstance(container, MutableMapping):
            container[rng.choice(("", "x", "?", "a\0", str(key) + "_"))] = container.pop(key)
        case 2 if isinstance(container, MutableSequence):
            container.extend([container[key]] * rng.choice((1, 3, 50)))
        case 3:
            donor, place = other
            value = donor[place] if isinstance(donor, dict) or place < len(donor) else None
            container[key] = json.loads(json.dumps(value))
        case _:
            container[key] = _hostile(rng)


def _hostile(rng: random.Random) -> Any:
    if rng.random() < 0.2:
        return json.loads(rng.choice(CONTAINERS))
    return rng.choice(SCALARS)


def mutated_arrays(content: bytes, rng: random.Random) -> bytes:
    """An .npz: its bytes damaged, or its arrays changed, or what it says of them."""
    if rng.random() < 0.3:
        return mutated_bytes(content, rng)
    with np.load(io.BytesIO(content)) as file:
        arrays: dict[str, npt.NDArray[Any]] = {name: file[name].copy() for name in file.files}
    out = io.BytesIO()
    lie = rng.choice(list(arrays)) if rng.random() < 0.2 and arrays else None
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in _changed(arrays, rng).items():
            packed = io.BytesIO()
            np.lib.format.write_array(packed, array)
            body = packed.getvalue()
            if name == lie:
                body = _lying(body, rng)
            archive.writestr(f"{name}.npy", body)
    return out.getvalue()


def _changed(
    arrays: dict[str, npt.NDArray[Any]], rng: random.Random
) -> dict[str, npt.NDArray[Any]]:
    name = rng.choice(list(arrays))
    array = arrays[name]
    match rng.randrange(7):
        case 0:
            del arrays[name]
        case 1:
            arrays[rng.choice(("x", "../x", "call_ticks", "op"))] = arrays.pop(name)
        case 2:
            arrays[name] = np.concatenate([array] * rng.choice((2, 3))) if array.size else array
        case 3:
            arrays[name] = array[: rng.randrange(len(array) + 1)] if array.ndim else array
        case 4:
            arrays[name] = array.reshape(1, *array.shape)
        case 5 if array.dtype.names is None:
            arrays[name] = array.astype(rng.choice(("<i8", "<f8", "S3", "?", ">u4", "<c16")))
        case _:
            raw = array.view(np.uint8).reshape(-1) if array.size else np.zeros(0, np.uint8)
            for _ in range(rng.choice((1, 4, 100))):
                if raw.size:
                    raw[rng.randrange(raw.size)] = rng.choice((0, 1, 7, 8, 127, 255))
    return arrays


def _lying(body: bytes, rng: random.Random) -> bytes:
    """A header that claims another shape or type, of the same length."""
    start = body.index(b"{")
    length = body.index(b"\n") - start
    shape = rng.choice(("(1099511627776,)", "(-1,)", "()", "(4294967296, 4294967296)", "(2,)"))
    kind = rng.choice(("'<u4'", "'|O'", "'<u8'", "'|V2147483647'", "[('a','|O')]", "'<U99999'"))
    text = (
        f"{{'descr': {kind}, 'fortran_order': {rng.choice(('True', 'False'))}, 'shape': {shape}}}"
    )
    text = rng.choice((text, text, "(" * 90, "1" * 90, text[:-1]))
    return body[:start] + text.encode().ljust(length)[:length] + body[start + length :]
