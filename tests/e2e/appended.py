"""What a Redis server has done since it was made, out of its append-only file: one entry for each write that happened.

A script's writes are in it as their effects, so it tells what was done and not what was asked. It is complete once the
server has stopped (before, writes may be on their way to it), as long as it is never rewritten.
Source: redis.io/docs/latest/operate/oss_and_stack/management/persistence.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

NEVER_REWRITTEN = "auto-aof-rewrite-percentage 0\n"
"""A line of redis.conf, for a server whose file is to be read here."""


class Written(NamedTuple):
    """How often each field of each hash below a prefix was set, by key and field; and which of the keys were deleted.

    Keys are without the prefix, as text.
    """

    fields: dict[str, Counter[str]]
    deleted: Counter[str]

    def times(self, field: str) -> Counter[str]:
        """How often the field was set, by key; keys without it are not there."""
        return Counter({key: count[field] for key, count in self.fields.items() if count[field]})


def commands(file: BinaryIO) -> Iterator[list[bytes]]:
    """Each command, as its words; half a command at the end, of a server that was killed, is none."""
    while head := file.readline():
        if not head.startswith(b"*"):
            raise ValueError(f"{head[:40]!r} begins no command: the file was rewritten, or is none of Redis.")
        if not head.endswith(b"\r\n"):
            return
        words = []
        for _ in range(int(head[1:])):
            length = file.readline()
            if not length.endswith(b"\r\n"):
                return
            content = file.read(int(length[1:]) + 2)
            if len(content) < int(length[1:]) + 2:
                return
            words.append(content[:-2])
        yield words


def written(path: Path, prefix: str) -> Written:
    """What was written to the hashes whose keys begin with the prefix. Raises: ValueError if the file was rewritten."""
    start = prefix.encode()
    fields: dict[str, Counter[str]] = {}
    deleted: Counter[str] = Counter()
    with path.open("rb") as file:
        for name, *words in commands(file):
            verb = name.upper()
            if verb in (b"HSET", b"HMSET", b"HSETNX") and words[0].startswith(start):
                key = words[0][len(start) :].decode()
                fields.setdefault(key, Counter()).update(each.decode(errors="replace") for each in words[1::2])
            elif verb in (b"DEL", b"UNLINK"):
                deleted.update(key[len(start) :].decode() for key in words if key.startswith(start))
    return Written(fields, deleted)
