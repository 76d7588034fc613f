"""Where models come from: what every source must do, and the one of any file system."""

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

import fsspec

from mlsys.errors import MlsysError, SettingsError

CHUNK = 2**18
_SHA256 = re.compile(r"[0-9a-f]{64}")


class SourceDown(MlsysError):
    """The source cannot be asked, does not have the model (yet), or did not finish. Worth another try."""


class Release(NamedTuple):
    """What a source offers. `tag` changes when the content does: it is the sha256 where that is known in advance.

    name: for people; the version's name where a registry gives one. place: what the source itself needs to read it.
    """

    name: str
    tag: str
    sha256: str | None
    place: str


class Stream(NamedTuple):
    """The content from the byte `begins` on: 0 where the source cannot resume. The chunks raise SourceDown."""

    begins: int
    chunks: Iterator[bytes]


class Source(ABC):
    """One place that offers one model. Every method raises SourceDown.

    shown: its name in logs and errors: the URL without user, password and query, which may be a signature.
    """

    shown: str

    @abstractmethod
    def release(self) -> Release:
        """What is offered now."""

    @abstractmethod
    def read(self, release: Release, begins: int) -> AbstractContextManager[Stream]:
        """The content, from the byte `begins` on where the source can."""


class File(Source):
    """A file of a file system that fsspec knows; its sha256 is in `<file>.sha256`, as sha256sum writes it.

    fsspec has no timeout that all file systems share: set theirs by fsspec's own configuration (FSSPEC_… variables).
    """

    def __init__(self, url: str, sha256: str | None = None) -> None:
        """Raises: SettingsError if fsspec does not know the URL's scheme."""
        self.shown = show(url)
        self._sha256 = sha256
        try:
            self._files, self._path = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise SettingsError(f"MODEL_SOURCE={self.shown} cannot be used: {error}.") from None

    def release(self) -> Release:
        """The file as it is now: known by its digest, else by size and time."""
        with self._failures():
            self._files.invalidate_cache()
            facts = self._files.info(self._path)
            beside = f"{self._path}.sha256"
            sha256 = self._sha256 or (digest(self._files.cat_file(beside)) if self._files.exists(beside) else None)
        written = next((facts[key] for key in ("ETag", "etag", "mtime", "updated", "created") if key in facts), "")
        return Release(self.shown, sha256 or f"{facts['size']}-{written}", sha256, self._path)

    @contextlib.contextmanager
    def read(self, release: Release, begins: int) -> Iterator[Stream]:
        """The bytes of the file."""
        with self._failures():
            file = self._files.open(release.place, "rb")
            file.seek(begins)
        with file:
            yield Stream(begins, self._chunks(file))

    def _chunks(self, file: "fsspec.spec.AbstractBufferedFile") -> Iterator[bytes]:
        with self._failures():
            while chunk := file.read(CHUNK):
                yield chunk

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (MlsysError, GeneratorExit):
            raise
        except Exception as error:  # each file system has exceptions of its own
            raise SourceDown(f"{self.shown} cannot be read ({type(error).__name__}: {error})") from error


def digest(content: bytes) -> str:
    """The first word, as sha256sum writes it. Raises: SourceDown if that is no sha256."""
    word = (content[:4096].decode(errors="replace").split() or [""])[0].lower()
    if not _SHA256.fullmatch(word):
        raise SourceDown(f"a sha256 of 64 hexadecimal digits was expected, and {word[:80]!r} found")
    return word


def show(url: str) -> str:
    """A URL, chained ones of fsspec included, without what may be secret."""
    return re.sub(r"(?<=://)[^/@]*@", "", re.split("[?#]", url)[0]) if "://" in url else url
