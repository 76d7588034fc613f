"""A download that is not finished: what is there of it survives its process, and the next attempt goes on."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .source import CHUNK
from .store import DirectoryFailed, Store


class Partial:
    """One file under a name of its own, appended to, and hashed on the way. Every method raises DirectoryFailed."""

    def __init__(self, store: Store, path: Path, file: BinaryIO) -> None:
        self._store = store
        self._path = path
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0
        with store.failures():
            while chunk := file.read(CHUNK):
                self._hash.update(chunk)
                self.size += len(chunk)

    @classmethod
    @contextlib.contextmanager
    def open(cls, store: Store, tag: str) -> Iterator["Partial"]:
        """What there is of the release with this tag, maybe nothing. A full disk is given back what this took of it."""
        path = store.directory / f"{hashlib.sha256(tag.encode()).hexdigest()[:16]}.part"  # a tag may be anything
        store.tidy(unfinished=path)  # refused models would fill the disk
        with store.failures():
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b", buffering=0)
        with file:
            try:
                yield cls(store, path, file)  # unbuffered: what is written is there
            except DirectoryFailed:
                path.unlink(missing_ok=True)
                raise

    def begin_at(self, size: int) -> None:
        """Go on there: at the end of what is there, or at 0 if the source begins anew."""
        if size != self.size:
            with self._store.failures():
                self._file.seek(0)
                self._file.truncate()
            self._hash, self.size = hashlib.sha256(), 0

    def write(self, chunk: bytes) -> None:
        """Append."""
        with self._store.failures():
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]  # a disk that gets full takes a part first
        self._hash.update(chunk)
        self.size += len(chunk)

    @property
    def sha256(self) -> str:
        """Of all that is there."""
        return self._hash.hexdigest()

    def drop(self) -> None:
        """Forget it: the next attempt begins anew."""
        self._path.unlink(missing_ok=True)

    def keep(self) -> None:
        """Give it the name of a whole model."""
        self._store.keep(self._file.fileno(), self._path, self._store.path(self.sha256))
