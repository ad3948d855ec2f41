"""What program scenarios read: files made by a generator from a seed, so that none is committed.

Each generator is a function of an empty folder and a seed; equal seeds make equal files.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from allocphase.files.durable import write_text

__all__ = ["INPUTS"]

Generator = Callable[[Path, int], None]

LINES = 20_000
COMMITS = 1500
FUNCTIONS = 300
# Of git: what would depend on who runs it.
_GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


def _words(rng: random.Random, count: int) -> str:
    """Of a vocabulary in which a few are frequent, as in texts."""
    return " ".join(_word(int(rng.paretovariate(0.8)) % 5000) for _ in range(count))


def _word(number: int) -> str:
    """A word of its own for each number below 5,000, longer for rare ones."""
    letters = []
    number += 26
    while number:
        number, letter = divmod(number, 26)
        letters.append(chr(ord("a") + letter))
    return "".join(letters)


def text_lines(folder: Path, seed: int) -> None:
    """lines.txt: lines of words and numbers."""
    rng = random.Random(seed)  # noqa: S311 (a text, not a secret)
    lines = [f"{_words(rng, rng.randrange(4, 16))} {rng.randrange(10**6)}" for _ in range(LINES)]
    write_text(folder / "lines.txt", "\n".join(lines) + "\n", synced=False)


def json_lines(folder: Path, seed: int) -> None:
    """records.jsonl: a record a line, as logs and exports have them."""
    rng = random.Random(seed)  # noqa: S311
    lines = [json.dumps(_record(rng, number)) for number in range(LINES)]
    write_text(folder / "records.jsonl", "\n".join(lines) + "\n", synced=False)


def _record(rng: random.Random, number: int) -> dict[str, object]:
    return {
        "id": number,
        "user": {"name": _words(rng, 1), "age": rng.randrange(100)},
        "amounts": [rng.randrange(10**5) for _ in range(rng.randrange(8))],
        "tags": [_words(rng, 1) for _ in range(rng.randrange(6))],
        "text": f"{_words(rng, rng.randrange(3, 20))} {rng.randrange(10**4)}",
    }


def c_unit(folder: Path, seed: int) -> None:
    """unit.i: a C file of many functions, already preprocessed, so that no header is read."""
    rng = random.Random(seed)  # noqa: S311
    text = "typedef unsigned long word;\n" + "\n".join(_functions(rng))
    write_text(folder / "unit.i", text, synced=False)


def _functions(rng: random.Random) -> Iterator[str]:
    yield "struct node { struct node *next; word value[8]; const char *name; };"
    for number in range(FUNCTIONS):
        callee = f"f{rng.randrange(number)}(node, x)" if number else "x"
        steps = [
            f"  x = (x << {rng.randrange(1, 31)}) ^ (x >> {rng.randrange(1, 31)}) "
            f"^ node->value[{rng.randrange(8)}];\n"
            f"  if (x % {rng.randrange(3, 99)} == 0) node->value[{rng.randrange(8)}] += x;\n"
            for _ in range(rng.randrange(2, 8))
        ]
        yield (
            f"word f{number}(struct node *node, word x) {{\n{''.join(steps)}"
            f"  for (word i = 0; i < {rng.randrange(2, 40)}; i++) x += {callee} * i;\n"
            f'  node->name = "function {number}";\n  return x;\n}}'
        )


def git_repository(folder: Path, seed: int) -> None:
    """repository/: a history of commits on some forty files, in one pack."""
    rng, repository = random.Random(seed), folder / "repository"  # noqa: S311
    repository.mkdir()
    _git(repository, "init", "--quiet", "--initial-branch=main")
    stream = "".join(_commits(rng))
    _git(repository, "fast-import", "--quiet", stdin=stream)
    _git(repository, "repack", "-adq", "--window=10", "--depth=10")


def _commits(rng: random.Random) -> Iterator[str]:
    """As git fast-import reads them."""
    files = {f"part{n % 7}/file{n}.txt": [_words(rng, 8) for _ in range(120)] for n in range(40)}
    for number in range(COMMITS):
        changed = rng.sample(sorted(files), 1 + number % 4) if number else sorted(files)
        yield "commit refs/heads/main\n"
        yield f"committer A <a@example.com> {1_700_000_000 + 3600 * number} +0000\n"
        message = f"Change {number}: {_words(rng, 5)}"
        yield f"data {len(message)}\n{message}\n"
        for name in changed:
            lines = files[name]
            for _ in range(6):
                lines[rng.randrange(len(lines))] = _words(rng, 8)
            lines.insert(rng.randrange(len(lines)), _words(rng, 8))
            content = "\n".join(lines) + "\n"
            yield f"M 100644 inline {name}\ndata {len(content)}\n{content}\n"


def _git(repository: Path, *arguments: str, stdin: str = "") -> None:
    ours = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607 (that of the machine, as the scenario's own)
        cwd=repository,
        env=ours | _GIT,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OSError(f"git {arguments[0]}: {done.stderr.strip()}")


INPUTS: Mapping[str, Generator] = {
    "c_unit": c_unit,
    "git_repository": git_repository,
    "json_lines": json_lines,
    "text_lines": text_lines,
}
