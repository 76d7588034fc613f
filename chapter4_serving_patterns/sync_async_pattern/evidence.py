"""What both models said of the 10,000 pictures of CIFAR-10's test set, as chapter 2 ships it with them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlsys import shipped
from mlsys.catalogue import ROOT

from .both import FAST, SLOW
from .cascade import Floats, Ints

FOLDER = ROOT / "chapter2_training" / "cifar10" / shipped.FOLDER


class Evidence(NamedTuple):
    """Probabilities [n, 10] of both models and classes [n] of the same pictures; the models' versions."""

    fast: Floats
    slow: Floats
    classes: Ints
    versions: dict[str, str]

    def of(self, chosen: Ints) -> "Evidence":
        """Some of the pictures."""
        return Evidence(self.fast[chosen], self.slow[chosen], self.classes[chosen], self.versions)


def load(folder: Path = FOLDER) -> Evidence:
    """What is shipped. Raises: OSError, KeyError if it is not there, or not of these models."""
    lines = (line.split() for line in (folder / shipped.SUMS).read_text().splitlines())
    digests = {file: digest for digest, file in lines}
    versions = {name: digests[f"{name}/model.onnx"][:12] for name in (FAST, SLOW)}
    with np.load(folder / "test_probabilities.npz") as arrays:
        fast, slow = (arrays[name].astype(np.float64) for name in (FAST, SLOW))
        return Evidence(fast, slow, arrays["classes"].astype(np.int64), versions)
