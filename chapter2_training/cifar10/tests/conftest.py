"""Generated pictures: each class has a colour of its own and much noise, so that a network learns them in seconds."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chapter2_training.cifar10.preprocess import LABELS

EACH = {"train": 40, "test": 10}


def picture(label: int, random: np.random.Generator, side: int = 32) -> bytes:
    """A PNG of one class: its colour, a bar where the class says, and noise."""
    colours = np.random.default_rng(7).integers(0, 256, (len(LABELS), 3))
    pixels = np.broadcast_to(colours[label], (side, side, 3)) + random.normal(0, 40, (side, side, 3))
    pixels[3 * label % side :][:4] += 60
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Threads cost more than they give with so little to do, most of all where other tests run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of train/<class>/ and test/<class>/ with 400 and 100 pictures."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for part, each in EACH.items():
        for index, label in enumerate(LABELS):
            (root / part / label).mkdir(parents=True)
            for number in range(each):
                (root / part / label / f"{number:04}.png").write_bytes(picture(index, random))
    return root
