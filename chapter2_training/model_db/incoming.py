"""A model file on its way into the store: written piece by piece, then checked, then there for all at once, or gone."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from mlsys.errors import ModelError, NotReady

from .artefacts import Store
from .inspection import Facts, inspect

CHUNK = 1 << 20
"""Bytes of a file that are in memory at a time."""


class Incoming:
    """A file that arrives, at a temporary name on this machine's disk. Leaving the context removes what is not kept.

    Every call raises NotReady if the disk or the store does not take it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sha256 = hashlib.sha256()
        self.path = store.part()
        with _writing():
            self._file = self.path.open("xb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a full disk: closing tries to write once more
            self._file.close()
        self.path.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Append a piece."""
        self._sha256.update(piece)
        with _writing():
            self._file.write(piece)

    def digest(self) -> str:
        """The sha256 of what has arrived."""
        return self._sha256.hexdigest()

    def keep(self) -> Facts:
        """Check that the whole is a model, and have it in the store. Raises: ModelError with the reason alone."""
        with _writing():
            self._file.flush()
            os.fsync(self._file.fileno())
        facts = inspect(self.path, memory_bytes=self._store.memory_bytes, timeout_s=self._store.timeout_s)
        if facts.sha256 != self.digest():
            raise NotReady("The file changed on the disk while it arrived: upload it again.")
        self._store.keep(self.path, facts)
        return facts


def known(store: Store, sha256: str) -> Facts | None:
    """What is in an artefact that is there and whole; None if it has to be uploaded (again)."""
    try:
        return store.facts(sha256)
    except NotReady:
        return None


def add(store: Store, path: Path) -> Facts:
    """Have a file of this machine in the store. Raises: ModelError, naming the file, if it is no model or not there."""
    with Incoming(store) as incoming:
        try:
            with path.open("rb") as file:
                while piece := file.read(CHUNK):
                    incoming.write(piece)
        except OSError as error:
            raise ModelError(f"Model {path} cannot be read: {error.strerror}.") from error
        if facts := known(store, incoming.digest()):
            return facts
        try:
            return incoming.keep()
        except ModelError as error:
            raise ModelError(f"Model {path} cannot be used: {error}.") from error


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotReady(f"The upload cannot be written: {error.strerror or error}.") from error
