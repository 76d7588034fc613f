"""Where the raw items are: a folder, or an HTTP server (web.py), with an index: a JSON object of file names by id."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from mlsys.errors import BadGateway, DeadlineExceeded, NotReady

from .value import Absent

INDEX = "index.json"
MAX_ID = 64
"""Characters of the longest item id."""
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")


class Source(Protocol):
    """Gives the content of files by their plain names.

    Raises: Absent if there is no such file, or a larger one than is taken; DeadlineExceeded, NotReady or BadGateway if
    it cannot be had now.
    """

    async def read(self, name: str) -> bytes: ...  # noqa: D102

    async def close(self) -> None: ...  # noqa: D102


class Folder:
    """Files of one folder. A read that takes too long, of a disk over the network, keeps its thread until it ends."""

    def __init__(self, path: Path, timeout_s: float, max_bytes: int) -> None:
        self._path, self._timeout_s, self._max_bytes = path, timeout_s, max_bytes

    async def read(self, name: str) -> bytes:
        """As every Source."""
        async with in_time(str(self._path / name), self._timeout_s):
            return capped(name, await asyncio.to_thread(self._content, name), self._max_bytes)

    async def close(self) -> None:
        """There is nothing to close."""

    def _content(self, name: str) -> bytes:
        try:
            with (self._path / name).open("rb") as file:
                return file.read(self._max_bytes + 1)
        except FileNotFoundError:
            raise Absent(f"the source has no file {name}") from None
        except OSError as error:
            raise NotReady(f"The source {self._path} cannot be read: {error.strerror or error}.") from error


async def index(source: Source) -> dict[str, str]:
    """File names by item id. Raises: NotReady if there is no index, BadGateway if it is none; what `read` raises."""
    try:
        found = msgspec.json.decode(await source.read(INDEX), type=dict[str, str])
    except Absent as absent:
        raise NotReady(f"The source cannot be used: {absent}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadGateway(f"The source's {INDEX} is no JSON object of file names by item id: {error}.") from None
    for item, name in found.items():
        if not (0 < len(item) <= MAX_ID and _PLAIN.fullmatch(name)):
            raise BadGateway(f"The source's {INDEX} has {item[:80]!r}: {name[:80]!r}, no id and plain file name.")
    return found


@asynccontextmanager
async def in_time(what: str, timeout_s: float) -> AsyncIterator[None]:
    """Raises: DeadlineExceeded, naming what took longer."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise DeadlineExceeded(f"The source did not give {what} within {timeout_s:g} s.") from None


def capped(name: str, content: bytes, max_bytes: int) -> bytes:
    """The content. Raises: Absent if it is too large to be taken."""
    if len(content) > max_bytes:
        raise Absent(f"its file {name} has more than {max_bytes} bytes")
    return content
