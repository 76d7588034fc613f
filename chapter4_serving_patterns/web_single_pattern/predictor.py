"""The lesson: everything between a flower and its class in one process, as plain calls.

No network lies between the steps, so nothing there can fail, queue or be of another version. The price: web server and
model scale, deploy and crash together, and while one request is predicted the worker does nothing else. That is right
for a model of microseconds; a model of milliseconds belongs into a server of its own.
"""

import numpy as np
from numpy.typing import NDArray

from mlsys import iris
from mlsys.model import Model


class IrisPredictor:
    """A model that knows it is about flowers. Raises ModelError if the model is for other features or classes."""

    def __init__(self, model: Model) -> None:
        model.require(features=iris.FEATURES, labels=iris.LABELS)
        self._model = model

    def probabilities(self, flower: list[float]) -> list[float]:
        """Probabilities [3] of setosa, versicolor and virginica for one flower [4] in centimetres."""
        probabilities: list[float] = self._model.predict(_batch_of_one(flower))[0].tolist()
        return probabilities

    def label(self, flower: list[float]) -> str:
        """Name of the most probable class of one flower [4] in centimetres."""
        return self._model.classify(_batch_of_one(flower))[0]


def _batch_of_one(flower: list[float]) -> NDArray[np.float32]:
    return np.array([flower], dtype=np.float32)  # all the preprocessing there is: scaling is inside the model file
