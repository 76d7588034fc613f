"""A large file fetched over HTTP: resumed where it broke off, verified, and there under its name all at once."""

import contextlib
import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import urllib3

from .errors import BadGateway, ModelError, NotFound, NotReady

CHUNK = 1 << 20
_TRIES = 6
"""Connections in a row that may bring nothing before it is given up."""


def fetch(pool: urllib3.PoolManager, url: str, sha256: str, size: int, folder: Path) -> Path:
    """Have the file of `size` bytes with this digest in the folder, as <sha256>.onnx, and return its path.

    Any number of processes may do so at once.

    Raises: NotReady if nothing comes, NotFound if there is no such file, BadGateway if what comes is no answer,
    ModelError if it is another file, OSError if the folder cannot be written.
    """
    path = folder / f"{sha256}.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and digest(path) == sha256:
        return path
    with _unfinished(folder / f".{sha256}.part") as part:
        resumed = _size(part) > 0
        found = _filled(pool, url, size, part)
        if resumed and found != sha256:  # what an earlier call had left was not its beginning
            part.truncate(0)
            found = _filled(pool, url, size, part)
        if found != sha256:
            part.truncate(0)
            raise ModelError(f"{url} gave a file with the sha256 {found} instead of {sha256}.")
        os.fsync(part.fileno())
        Path(part.name).replace(path)
    return path


def digest(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


@contextlib.contextmanager
def _unfinished(path: Path) -> Iterator[BinaryIO]:
    """The file that an earlier call has left, or a new one, locked; one of another name while somebody else has it."""
    with contextlib.ExitStack() as left:
        file = left.enter_context(path.open("ab", buffering=0))
        if not _locked(file):
            path = path.with_name(f"{path.name}.{uuid.uuid4()}")
            file = left.enter_context(path.open("ab", buffering=0))
            left.callback(path.unlink, missing_ok=True)
        yield file


def _locked(file: BinaryIO) -> bool:
    """Whether the file is now ours, and still unfinished: who had it may have given it its final name meanwhile."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Path(file.name).stat().st_ino == os.fstat(file.fileno()).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _filled(pool: urllib3.PoolManager, url: str, size: int, part: BinaryIO) -> str:
    """Append what lacks to the file, over as many connections as that takes, and return its digest."""
    failures = 0
    if _size(part) > size:
        part.truncate(0)
    while (have := _size(part)) < size:
        reason = _append(pool, url, size, part)
        failures = 0 if _size(part) > have else failures + 1
        if failures == _TRIES:
            raise NotReady(f"{url} does not give the rest of its {size} bytes after byte {have}: {reason}.")
        time.sleep(0.05 * 2**failures * bool(failures))
    return digest(Path(part.name))


def _append(pool: urllib3.PoolManager, url: str, size: int, part: BinaryIO) -> str:
    """Append what one connection brings, and say how it ended."""
    have = _size(part)
    headers = {"accept-encoding": "identity"} | ({"range": f"bytes={have}-"} if have else {})
    try:
        response = pool.request("GET", url, headers=headers, preload_content=False, redirect=False, retries=False)
    except urllib3.exceptions.HTTPError as error:
        return str(getattr(error, "reason", None) or error)
    with contextlib.closing(response):
        match response.status:
            case 200 | 416:  # it gives the whole, or has no such rest: from the beginning then
                part.truncate(0)
            case 206 if response.headers.get("content-range", "").startswith(f"bytes {have}-"):
                pass
            case 404:
                raise NotFound(f"There is no {url}.")
            case 502 | 503 | 504:
                return f"it answers {response.status}"
            case status:
                raise BadGateway(f"{url} answers {status} instead of the file.")
        return "it answers 416" if response.status == 416 else _copy(response, url, size, part)


def _copy(response: urllib3.BaseHTTPResponse, url: str, size: int, part: BinaryIO) -> str:
    try:
        while piece := response.read(CHUNK, decode_content=False):
            if _size(part) + len(piece) > size:
                part.truncate(0)
                raise ModelError(f"{url} gives more than the {size} bytes it should have.")
            part.write(piece)
    except urllib3.exceptions.HTTPError as error:
        return str(error)
    return "the connection ended"
