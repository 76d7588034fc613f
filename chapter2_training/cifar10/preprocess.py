"""From whatever holds the pictures to four arrays: pixels and classes, to train on and to test on.

Test pictures lie in a file of their own, which the steps of training do not open.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsys import picture
from mlsys.errors import ServiceError, StartupError

from . import archive

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PARTS = ("train", "test")


class Encoded(NamedTuple):
    """A picture as it was found: which part it is of, the index of its class, the name by which a person finds it."""

    part: str
    label: int
    name: str
    content: bytes


def preprocess(source: Path, folder: Path, *, num_workers: int) -> None:
    """Write train.npz and test.npz, each `pixels` uint8 [n, 32, 32, 3] RGB and `classes` uint8 [n], into the folder.

    source: the official archive (python version), or a folder, or a tar of one, with pictures in train/<class>/ and
    test/<class>/. num_workers: processes that decode pictures; the official archive holds pixels, and needs none.

    Raises: StartupError naming the file, or the picture in it, that cannot be used.
    """
    found = archive.read(source) if archive.is_official(source) else _decoded(source, num_workers)
    for part in PARTS:
        pixels, classes = found[part]
        if missing := [label for index, label in enumerate(LABELS) if index not in classes]:
            raise StartupError(f"{source} has no pictures in {part}/{missing[0]}: each class needs some.")
        np.savez(folder / f"{part}.npz", pixels=pixels, classes=classes)


def _decoded(source: Path, num_workers: int) -> dict[str, archive.Arrays]:
    pictures = sorted(_pictures(source), key=lambda encoded: (encoded.part, encoded.label, encoded.name))
    with ProcessPoolExecutor(num_workers) as processes:
        pixels = list(processes.map(_pixels, pictures, chunksize=256))
    return {
        part: (
            np.array([found for found, of in zip(pixels, pictures, strict=True) if of.part == part], dtype=np.uint8),
            np.array([of.label for of in pictures if of.part == part], dtype=np.uint8),
        )
        for part in PARTS
    }


def _pixels(encoded: Encoded) -> NDArray[np.uint8]:
    """As a service decodes it: the same function."""
    try:
        return picture.to_pixels(encoded.content)
    except ServiceError as error:
        raise StartupError(f"Picture {encoded.name} cannot be used: {error}") from error


def _pictures(source: Path) -> Iterator[Encoded]:
    for name, content in _files(source):
        part, label = PurePosixPath(name).parts[-3:-1] if name.count("/") >= 2 else ("", "")
        if part in PARTS and label in LABELS:
            yield Encoded(part, LABELS.index(label), name, content)


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for path in source.rglob("*"):
            if path.is_file():
                yield path.relative_to(source.parent).as_posix(), path.read_bytes()
        return
    with archive.opened(source) as tar:
        for member in tar:
            if (file := tar.extractfile(member)) is not None:
                yield member.name, file.read()
