"""Where model files are kept: under their own sha256, in any place that fsspec knows, a folder or a bucket.

<sha256>.onnx is the file, and appears whole or not at all; <sha256>.json, written before it, says what is in it.
Nothing is ever changed or replaced by anything else, so that a digest once acknowledged means these bytes for ever.
"""

import contextlib
import functools
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import Any, BinaryIO, cast

import msgspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from mlsys.errors import InvalidInput, NotReady, StartupError

from .inspection import Facts

PART = ".part"
"""How the names of files end that are not finished."""
_TRUSTED_S = 10.0
"""Seconds for which a store that took a file is not tried again; one that did not is tried each time."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Store:
    """The artefacts under one URL, which is not looked at before the first call.

    memory_bytes, timeout_s: what loading a new file once, to check it, may take.
    stale_s: seconds after which an unfinished file that nobody writes to is one that a crash has left.

    Every call raises NotReady if the place does not answer, and StartupError if there is no such kind of place.
    """

    def __init__(
        self, url: str, *, memory_bytes: int = 4 << 30, timeout_s: float = 60.0, stale_s: float = 3600.0
    ) -> None:
        self._url = url
        self.memory_bytes = memory_bytes
        self.timeout_s = timeout_s
        self._stale_s = stale_s
        self._writable_until = 0.0

    def facts(self, sha256: str) -> Facts | None:
        """What is in the artefact; None if there is none. Raises: InvalidInput if it is no digest, NotReady also if the
        file in the store is not the one that was put there; putting it there again repairs that.
        """
        path = self._path(sha256)
        with self._answering() as system:
            try:
                size = system.size(f"{path}.onnx")
                facts = msgspec.json.decode(system.cat_file(f"{path}.json"), type=Facts)
            except FileNotFoundError:
                return None
            except msgspec.DecodeError as error:
                raise NotReady(f"The artefact {sha256} is damaged ({error}): upload it again.") from error
        if size != facts.size_bytes:
            raise NotReady(
                f"The artefact {sha256} is damaged ({size} bytes of {facts.size_bytes} are left): upload it again."
            )
        return facts

    def open(self, sha256: str, start: int) -> BinaryIO:
        """The file, to be read from byte `start` on, and closed by the caller."""
        path = self._path(sha256)
        with self._answering() as system:
            file = cast("BinaryIO", system.open(f"{path}.onnx", "rb"))
            file.seek(start)
            return file

    def part(self) -> Path:
        """A new name for a file on this machine's disk, for what is not finished; in the store itself if it is here."""
        with self._answering() as system:
            system.makedirs(self._root, exist_ok=True)
            return (Path(self._root) if self._is_here else Path(gettempdir())) / f"{uuid.uuid4()}{PART}"

    def keep(self, finished: Path, facts: Facts) -> None:
        """Move a finished file into the store, under the digest that its facts have."""
        about, path = self.part(), self._path(facts.sha256)
        with self._answering():
            with about.open("wb") as file:
                file.write(msgspec.json.encode(facts))
                file.flush()
                os.fsync(file.fileno())
            self._move(about, f"{path}.json")
            self._move(finished, f"{path}.onnx")

    def check(self) -> None:
        """Raises: NotReady unless a file could be written and removed, now or a few seconds ago."""
        if time.monotonic() < self._writable_until:
            return  # /ready is asked often, and a bucket is paid by the request
        probe = self.part()
        try:
            with self._answering() as system:
                probe.touch()
                self._move(probe, f"{self._root}/{probe.name}")
                system.rm_file(f"{self._root}/{probe.name}")
        finally:
            probe.unlink(missing_ok=True)
        self._writable_until = time.monotonic() + _TRUSTED_S

    def sweep(self) -> int:
        """Remove the unfinished files that a crash has left, and return their number."""
        now, removed = time.time(), 0
        with self._answering() as system:
            for name in system.glob(f"{self._root}/*{PART}"):
                with contextlib.suppress(FileNotFoundError):  # finished, or swept by another worker
                    if now - system.modified(name).timestamp() > self._stale_s:
                        system.rm_file(name)
                        removed += 1
        return removed

    def _move(self, file: Path, path: str) -> None:
        """Let a file of this disk be at `path`, whole from its first moment there."""
        if self._is_here:
            file.replace(path)
            folder = os.open(self._root, os.O_RDONLY)
            try:
                os.fsync(folder)  # else a power cut can take the new name, and the file with it
            finally:
                os.close(folder)
            return
        beside = f"{path}.{uuid.uuid4()}{PART}"
        self._system.put_file(str(file), beside)
        self._system.mv(beside, path)
        file.unlink()

    def _path(self, sha256: str) -> str:
        if not _DIGEST.fullmatch(sha256):
            raise InvalidInput(f"{sha256[:100]!r} is no sha256: it has 64 digits, 0-9 and a-f.")
        return f"{self._root}/{sha256}"

    @functools.cached_property
    def _place(self) -> tuple[Any, str]:
        try:
            system, root = url_to_fs(self._url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            kind = self._url.partition("://")[0]  # what follows may hold a password
            raise StartupError(f"ARTEFACTS_URL begins with {kind}://, which cannot be used: {error}.") from None
        return system, str(root)

    @property
    def _system(self) -> Any:  # noqa: ANN401  # fsspec ships no types
        return self._place[0]

    @property
    def _root(self) -> str:
        return self._place[1]

    @property
    def _is_here(self) -> bool:
        return isinstance(self._system, LocalFileSystem)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[Any]:
        system = self._system
        try:
            yield system
        except OSError as error:
            raise NotReady(f"The store of the artefacts does not answer: {error.strerror or error}.") from error
