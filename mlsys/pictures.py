"""The demos' photographs, out of the scikit-image package: `python -m mlsys.pictures` writes them to models/pictures.

All are among the files that the package installs; nothing is downloaded. Cat, coffee, horse and rocket are in the
public domain or CC0; for the motorcycle, of the Middlebury 2014 stereo benchmark, scikit-image names no licence. The
docstrings of skimage.data name the makers.
"""

import io
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from .catalogue import ROOT

SIDE = 224
"""Pixels of each side of a photograph."""
FOLDER = ROOT / "models" / "pictures"


class Source(NamedTuple):
    """A file of scikit-image's, and the square of it that is shown: left, top, right, bottom, in pixels.

    What lies beyond the file's edges is white.
    """

    file: str
    square: tuple[int, int, int, int]


_SOURCES = {
    "cat": Source("chelsea.png", (75, 0, 375, 300)),
    "coffee": Source("coffee.png", (120, 0, 520, 400)),
    "horse": Source("horse.png", (0, -36, 400, 364)),
    "motorcycle": Source("motorcycle_left.png", (141, 0, 641, 500)),
    "rocket": Source("rocket.jpg", (106, 0, 533, 427)),
}
NAMES = tuple(_SOURCES)


def content(name: str) -> bytes:
    """One of NAMES as a PNG file of SIDE × SIDE pixels. Raises: KeyError."""
    source = _SOURCES[name]
    with (files("skimage") / "data" / source.file).open("rb") as file, Image.open(file) as image:
        square = image.convert("RGBA").crop(source.square)
    white = Image.new("RGBA", square.size, "white")
    small = Image.alpha_composite(white, square).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.save(written, "PNG", optimize=True)
    return written.getvalue()


def write(folder: Path) -> list[Path]:
    """Write each photograph that `folder` lacks, or has from an older state of this file; return those written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.png" for name in NAMES if not _is_current(folder / f"{name}.png")]
    for path in written:
        part = path.with_suffix(".part")
        part.write_bytes(content(path.stem))
        part.replace(path)  # a process that is stopped meanwhile leaves no half of a picture
    return written


def _is_current(path: Path) -> bool:
    return path.exists() and path.stat().st_mtime >= Path(__file__).stat().st_mtime


def main() -> None:
    """Write what is missing, and say so."""
    for path in write(FOLDER):
        print(f"wrote {path.relative_to(ROOT)}")  # noqa: T201


if __name__ == "__main__":
    main()
