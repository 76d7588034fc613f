"""How good the finished files are. This is the one place that opens the test pictures, once, when nothing can change.

What is measured is what is served: the ONNX file, by the runtime and through the class that services use.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlsys import evaluation
from mlsys.model import Model

from .preprocess import LABELS

Answers = NDArray[np.float32]
"""Probabilities [n, 10]."""


class _Answered:
    """Stands for a classifier where its probabilities are known already: it is given them, and gives them back."""

    def predict(self, probabilities: Answers) -> NDArray[np.int64]:
        found: NDArray[np.int64] = probabilities.argmax(axis=1)
        return found

    def predict_proba(self, probabilities: Answers) -> Answers:
        return probabilities


def evaluate(models: dict[str, Path], test: Path, folder: Path, *, threads: int) -> None:
    """Ask each model (name: file) about the test pictures; write metrics.json and probabilities.npz into the folder.

    probabilities.npz holds float16 [n, 10] for each name, and `classes` uint8 [n].
    """
    with np.load(test) as arrays:
        pixels, classes = arrays["pixels"], arrays["classes"]
    found, metrics = {}, {}
    for name, path in models.items():
        probabilities = answers(Model.load(path, threads=threads), pixels)
        metrics[name] = measured(probabilities, classes)
        found[name] = probabilities.astype(np.float16)
    np.savez_compressed(folder / "probabilities.npz", **found, classes=classes)  # type: ignore[arg-type]
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1))


def answers(model: Model, pixels: NDArray[np.uint8]) -> Answers:
    """Probabilities [n, 10] of pictures [n, 32, 32, 3], some hundred at a time."""
    return np.concatenate([model.predict(batch) for batch in np.split(pixels, range(250, len(pixels), 250))])


def measured(probabilities: Answers, classes: NDArray[np.uint8]) -> dict[str, float]:
    """Accuracy, precision and recall of each class, log loss, Brier score and calibration error."""
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)  # float32 sums are 1 only nearly, which scikit-learn warns of
    return evaluation.classifier(_Answered(), exact, classes.astype(np.int64), LABELS)
