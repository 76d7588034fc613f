"""What the Iris routes ask of the model that answers them, however it came here."""

import numpy as np

from mlsys import iris
from mlsys.errors import ModelError
from mlsys.network import Array, Network

OUTPUTS = ["label", "probabilities"]


class IrisPredictor:
    """A network that knows it is about flowers. Raises: ModelError if it is for other features, classes or outputs."""

    def __init__(self, name: str, network: Network) -> None:
        about = network.metadata
        found = (about.features, about.labels, [tensor.name for tensor in about.outputs]) if about else None
        if found != (list(iris.FEATURES), list(iris.LABELS), OUTPUTS):
            raise ModelError(
                f"DEFAULT_MODEL={name} is not a model of Iris species with probabilities: name one that is."
            )
        self._network = network
        self._input = network.inputs[0].name

    def probabilities(self, flower: list[float]) -> list[float]:
        """Probabilities [3] of setosa, versicolor and virginica for one flower [4] in centimetres."""
        answer: list[float] = self._ask(flower, "probabilities")[0].tolist()
        return answer

    def label(self, flower: list[float]) -> str:
        """Name of the most probable class of one flower [4] in centimetres."""
        return iris.LABELS[int(self._ask(flower, "label")[0])]

    def _ask(self, flower: list[float], output: str) -> Array:
        return self._network.run({self._input: np.array([flower], dtype=np.float32)}, [output])[0]
