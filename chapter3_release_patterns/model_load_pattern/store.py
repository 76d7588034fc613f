"""The directory that loaders and services share: models by their sha256, and which of them is the current one."""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from mlsys.errors import MlsysError

_POINTER = "current.json"
_OURS = re.compile(r"[0-9a-f]{64}\.onnx|[0-9a-f]{16}\.part")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DirectoryFailed(MlsysError):
    """The directory cannot be written or read: full, gone, not ours, or locked for too long."""


class Pointer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model a service starts with, by release name and sha256, and the one before, which is kept for rollback."""

    release: str
    sha256: str
    previous: str | None = None


class Store:
    """One directory. Whatever is called <sha256>.onnx in it is whole: names are given by one rename, after fsync.

    Every method raises DirectoryFailed.
    """

    def __init__(self, directory: Path, sleep: Callable[[float], None] = time.sleep) -> None:
        self.directory = directory
        self._sleep = sleep

    def path(self, sha256: str) -> Path:
        """Where the model of that digest is, if it is there."""
        return self.directory / f"{sha256}.onnx"

    def holds(self, sha256: str) -> bool:
        """Whether that model is there and undamaged; one that is damaged is removed."""
        path = self.path(sha256)
        with self.failures():
            if not path.exists():
                return False
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                    return True
            path.unlink()
        return False

    def pointer(self) -> Pointer | None:
        """What `point_at` wrote last; None if nothing has been loaded yet."""
        try:
            return msgspec.json.decode((self.directory / _POINTER).read_bytes(), type=Pointer)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise DirectoryFailed(f"{self.directory / _POINTER} cannot be used ({error}): remove it") from error

    def point_at(self, release: str, sha256: str) -> None:
        """Make a model the current one, in one step, and remove others but the one before. Call it locked."""
        old = self.pointer()
        previous = None if old is None else old.previous if old.sha256 == sha256 else old.sha256
        with self.failures():
            content = msgspec.json.encode(Pointer(release=release, sha256=sha256, previous=previous))
            written = self.directory / ".pointer"
            with written.open("wb") as file:
                file.write(content)
                file.flush()  # before it gets its name: what Python still holds would be lost in a crash
                self.keep(file.fileno(), written, self.directory / _POINTER)
        self.tidy()

    def tidy(self, unfinished: Path | None = None) -> None:
        """Remove models but the current one and the one before, and what is left of downloads but this one. Locked.

        What this program has not written stays: a volume has its lost+found, and a user may name any folder.
        """
        pointer = self.pointer()
        kept = {self.path(digest) for digest in (pointer.sha256, pointer.previous) if digest} if pointer else set()
        with self.failures():
            for path in self.directory.iterdir():
                if _OURS.fullmatch(path.name) and path not in kept and path != unfinished:
                    path.unlink(missing_ok=True)

    def keep(self, descriptor: int, written: Path, name: Path) -> None:
        """Give a file that is written its name, so that after a crash it has that name with all its bytes, or not."""
        with self.failures():
            os.fsync(descriptor)
            written.replace(name)
            folder = os.open(self.directory, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    @contextlib.contextmanager
    def locked(self, within_s: float) -> Iterator[None]:
        """One process at a time in this directory; the kernel frees the lock of a dead one."""
        with self.failures():
            self.directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            end = time.monotonic() + within_s
            while not _try_lock(descriptor):
                if time.monotonic() > end:
                    raise DirectoryFailed(f"{self.directory} was in use by another loader for {within_s:g} s")
                self._sleep(0.05)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """Say of an OSError that it is about this directory."""
        try:
            yield
        except OSError as error:
            what = "is full" if error.errno in _FULL else "cannot be used"
            raise DirectoryFailed(f"{self.directory} {what} ({error.strerror})") from error


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
