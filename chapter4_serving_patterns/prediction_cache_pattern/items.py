"""The eight items: photographs of mlsys.pictures, and squares of them, under the ids that callers name."""

import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
from PIL import Image

from mlsys import pictures
from mlsys.errors import NotFound, StartupError

Square = tuple[int, int, int, int]


class Item(msgspec.Struct, frozen=True):
    """A picture under an id. `square` is the part of the photograph that it shows: left, top, right, bottom, in pixels
    of 224; without one it is the whole.
    """

    id: str
    photograph: str
    square: Square | None = None


ITEMS = (
    *(Item(f"{number:04}", name) for number, name in enumerate(pictures.NAMES)),
    Item("0005", "cat", (12, 24, 212, 224)),
    Item("0006", "horse", (4, 14, 204, 214)),
    Item("0007", "rocket", (42, 70, 182, 210)),
)


class Catalogue:
    """The items' pictures. An id is looked up here, and never becomes part of a path or of a pattern."""

    def __init__(self, folder: Path) -> None:
        """Raises: StartupError if a photograph cannot be read."""
        self._contents = {item.id: _content(folder / f"{item.photograph}.png", item.square) for item in ITEMS}

    def __iter__(self) -> Iterator[Item]:
        return iter(ITEMS)

    def content(self, item: str) -> bytes:
        """The item's picture as a PNG file. Raises: NotFound."""
        if item not in self._contents:
            raise NotFound(f"There is no item {item[:80]!r}: GET /items lists those that there are.")
        return self._contents[item]


def _content(path: Path, square: Square | None) -> bytes:
    try:
        content = path.read_bytes()
        if square is None:
            return content
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            part = image.crop(square)
    except OSError as error:
        raise StartupError(f"PICTURES_PATH: {path} cannot be used ({error}): `make run` writes it.") from error
    written = io.BytesIO()
    part.save(written, "PNG")
    return written.getvalue()
