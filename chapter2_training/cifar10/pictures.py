"""Pictures in memory, and the one way in which those to learn from are parted from those to validate on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Pictures:
    """Pixels uint8 [n, 32, 32, 3] RGB and classes int64 [n]."""

    pixels: Tensor
    classes: Tensor

    def __len__(self) -> int:
        return len(self.pixels)


def load(path: Path) -> Pictures:
    """Read what `preprocess` wrote."""
    with np.load(path) as arrays:
        return Pictures(torch.from_numpy(arrays["pixels"]), torch.from_numpy(arrays["classes"]).long())


def split(pictures: Pictures, validation: float, seed: int) -> tuple[Pictures, Pictures]:
    """Part a share of the pictures, drawn by chance, from the rest; both in the order of the draw."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(pictures)))
    held_out = round(len(pictures) * validation)
    rest, held = (
        Pictures(pictures.pixels[chosen], pictures.classes[chosen]) for chosen in (order[held_out:], order[:held_out])
    )
    return rest, held
