"""What every request asks of the model that serves at its moment."""

import numpy as np

from mlsys.model import Model


def probabilities(model: Model, flower: list[float]) -> list[float]:
    """Probabilities [3] of setosa, versicolor and virginica for one flower [4] in centimetres."""
    found: list[float] = model.predict(np.array([flower], dtype=np.float32))[0].tolist()
    return found


def label(model: Model, flower: list[float]) -> str:
    """Name of the most probable class of one flower [4] in centimetres."""
    return model.classify(np.array([flower], dtype=np.float32))[0]
