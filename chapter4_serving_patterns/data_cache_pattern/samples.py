"""Makes the eight sample items out of the sample photographs: `python -m ….samples PICTURES FOLDER`."""

import json
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from .source import INDEX


class Sample(NamedTuple):
    """A photograph of models/pictures, 224 × 224, or a square of it: left, top, right, bottom."""

    photograph: str
    square: tuple[int, int, int, int] = (0, 0, 224, 224)


SAMPLES = {
    "0000": Sample("cat"),
    "0001": Sample("coffee"),
    "0002": Sample("horse"),
    "0003": Sample("motorcycle"),
    "0004": Sample("rocket"),
    "0005": Sample("cat", (32, 32, 192, 192)),
    "0006": Sample("horse", (104, 16, 224, 136)),
    "0007": Sample("motorcycle", (64, 40, 224, 200)),
}


def write(pictures: Path, folder: Path) -> None:
    """Write an item's file for each sample, and then the index. Raises: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {item: f"{item}-{sample.photograph}.png" for item, sample in SAMPLES.items()}
    for item, sample in SAMPLES.items():
        with Image.open(pictures / f"{sample.photograph}.png") as photograph:
            _replace(folder / names[item], photograph.crop(sample.square))
    part = folder / f"{INDEX}.part"
    part.write_text(json.dumps(names, indent=1) + "\n")
    part.replace(folder / INDEX)


def _replace(path: Path, image: Image.Image) -> None:
    part = path.with_suffix(".part")  # who reads meanwhile finds the old one or the new one
    image.save(part, "PNG", optimize=True)
    part.replace(path)


def main() -> None:
    """Exit code 1 and a sentence if the files cannot be made."""
    if len(sys.argv) != 3:
        sys.exit("Give the folder of the photographs, and that of the items.")
    try:
        write(Path(sys.argv[1]), Path(sys.argv[2]))
    except OSError as error:
        sys.exit(f"The sample items cannot be made ({error}): write the photographs by `python -m mlsys.pictures`.")


if __name__ == "__main__":
    main()
