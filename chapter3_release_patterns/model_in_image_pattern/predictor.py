"""A flower in, probabilities or a name out."""

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
    return np.array([flower], dtype=np.float32)
