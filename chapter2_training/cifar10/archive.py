"""The official CIFAR-10 archive: fetched in as many pieces as it takes, verified, and read without trust."""

import hashlib
import http.client
import io
import pickle
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlsys.errors import StartupError

from .steps import Passing

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
"""As the page of the data set gives it. It tells damage; against an attacker it would be no protection."""
NAME = "cifar-10-python.tar.gz"
TIMEOUT_S = 30
BATCHES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Pixels [n, 32, 32, 3] and classes [n]."""


def fetch(folder: Path, url: str = URL, md5: str = MD5) -> Path:
    """Have the archive in the folder, whole; what is there already, also a part of it, is not fetched again.

    Raises: Passing if the connection was cut (what came stays, and the next call goes on from there) or the server is
    busy. StartupError if the server refuses, or what came is not the archive (it is removed).
    """
    whole, part = folder / NAME, folder / f"{NAME}.part"
    if whole.exists():
        return whole
    folder.mkdir(parents=True, exist_ok=True)
    _rest(url, part)
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        part.unlink()
        raise StartupError(f"What {url} gave has the md5 {found} instead of {md5}; it was removed. Try once more.")
    return part.replace(whole)


def _rest(url: str, part: Path) -> None:
    """Append what is missing."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310  # URL
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            with part.open("ab" if answer.status == 206 else "wb") as file:  # 200: the server knows no ranges
                while block := answer.read(1 << 16):
                    file.write(block)
            if answer.length:  # http.client gives a cut answer's last block without an error
                raise Passing(f"{url} was cut off, {answer.length} bytes are missing.")
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing
            return
        if error.code in (429, 500, 502, 503, 504):
            raise Passing(f"{url} answered {error.code}.") from error
        raise StartupError(f"{url} answered {error.code} {error.reason}: name other pictures by data=.") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise Passing(f"{url} did not answer to the end ({error}).") from error


def is_official(source: Path) -> bool:
    """Whether a file is this archive, by what it holds."""
    if source.is_dir():
        return False
    with opened(source) as tar:
        first = tar.next()
        return first is not None and first.name.split("/")[0] == "cifar-10-batches-py"


@contextmanager
def opened(source: Path) -> Iterator[tarfile.TarFile]:
    """The archive, to be read. Raises: StartupError if that cannot be done, here or while it is read."""
    try:
        with tarfile.open(source) as tar:
            yield tar
    except (tarfile.TarError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise StartupError(
            f"{source} is no tar archive, or a damaged one ({reason}): fetch it again, or name another by data=."
        ) from error


def read(source: Path) -> dict[str, Arrays]:
    """Both parts, in the archive's order.

    Raises: StartupError naming the archive, and the batch in it, that cannot be used.
    """
    with opened(source) as tar:
        content = {Path(member.name).name: file.read() for member in tar if (file := tar.extractfile(member))}
    return {part: _joined([_batch(source, name, content) for name in names]) for part, names in BATCHES.items()}


def _batch(source: Path, name: str, content: dict[str, bytes]) -> Arrays:
    try:
        batch = _Unpickler(io.BytesIO(content[name]), encoding="bytes").load()
        pixels = batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        classes = np.array(batch[b"labels"])
        if len(pixels) != len(classes) or pixels.dtype != np.uint8 or not ((classes >= 0) & (classes < 10)).all():
            raise ValueError("pixels and labels do not fit")
    except Exception as error:  # a damaged pickle raises almost anything
        raise StartupError(f"Batch {name} of {source} cannot be used ({error}): fetch it again.") from error
    return np.ascontiguousarray(pixels), classes.astype(np.uint8)


def _joined(batches: list[Arrays]) -> Arrays:
    pixels, classes = zip(*batches, strict=True)
    return np.concatenate(pixels), np.concatenate(classes)


class _Unpickler(pickle.Unpickler):
    """A pickle can name any function to be called while it is read. This one calls those that make an array."""

    ALLOWED = frozenset({("_reconstruct", "multiarray"), ("ndarray", "numpy"), ("dtype", "numpy")})

    def find_class(self, module: str, name: str) -> object:
        if (name, module.split(".")[-1]) not in self.ALLOWED or module.split(".")[0] != "numpy":
            raise pickle.UnpicklingError(f"it wants to call {module}.{name}")
        # Batches of 2009 name numpy.core, which numpy 2 has moved.
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)
