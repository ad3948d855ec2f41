"""Reads a file of JSON lines, changes what it reads with regular expressions, writes it again."""

import hashlib
import json
import re
import sys
from pathlib import Path

WORD = re.compile(r"[a-z]+")
NUMBER = re.compile(r"\d+")

digest = hashlib.sha256()
words = {}
for _ in range(int(sys.argv[2])):
    with Path(sys.argv[1]).open(encoding="ascii") as file:
        records = [json.loads(line) for line in file]
    for record in records:
        for word in WORD.findall(record["text"]):
            words[word] = words.get(word, 0) + 1
        record["text"] = NUMBER.sub(lambda found: str(int(found[0]) + 1), record["text"])
        record["tags"] = sorted(record["tags"], reverse=True)
    digest.update("\n".join(json.dumps(record, sort_keys=True) for record in records).encode())
print(len(words), sum(words.values()), digest.hexdigest())
