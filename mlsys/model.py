"""The model artefact: one ONNX file that is loaded, verified, warmed up and asked for whole batches."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from . import metadata as document
from .errors import ModelError
from .metadata import Metadata
from .network import Network, documents, read, text


class Model:
    """A verified model file, as a network with the one input, the label and the vector that every model here has.

    sha256: hex digest of the file, the model's identity. version: its first 12 digits, by which the Open Inference
    Protocol names it.
    """

    def __init__(self, network: Network, metadata: Metadata) -> None:
        self.network = network
        self.path = network.path
        self.metadata = metadata
        self.sha256 = network.sha256
        self.version = network.version
        self._input = metadata.inputs[0].name
        self._values = [metadata.outputs[1].name]  # probabilities, or scores
        self._label = [metadata.outputs[0].name]

    @classmethod
    def load(cls, path: Path, *, threads: int = 1) -> Self:
        """Read, verify and warm up the model in `path`, with `threads` threads for one inference.

        Raises: ModelError, with file and reason, if the file is missing, damaged, carries no valid metadata document or
        several, disagrees with its own document, or cannot answer its own sample.
        """
        try:
            return cls._load(path, threads)
        except ModelError as error:
            raise ModelError(
                f"Model {path} cannot be used: {error}. Build it with `make models`, or set MODEL_PATH."
            ) from error

    @classmethod
    def _load(cls, path: Path, threads: int) -> Self:
        content = read(path)
        if not documents(content):
            raise ModelError(f"it has 0 `{document.PROPERTY}` metadata properties instead of one")
        network = Network(path, content, threads=threads)
        metadata = network.metadata
        if metadata is None or (len(metadata.inputs), len(metadata.outputs)) != (1, 2):
            raise ModelError(f"it has the outputs {text(network.outputs)} instead of a label and a vector")
        model = cls(network, metadata)
        model.warm_up()
        return model

    def warm_up(self) -> None:
        """Predict the model's own sample, or a batch of one zero where it has none (a picture); this also allocates
        what the first request needs.

        Raises: ModelError if there is no answer, or none that is finite.
        """
        try:
            answer = self.predict(self.network.sample()[self._input])
        except Exception as error:  # the runtime's exceptions share no base class of their own
            raise ModelError(f"it cannot predict its own sample ({str(error).splitlines()[0]})") from error
        if not np.isfinite(answer).all():
            raise ModelError("its prediction of its own sample is not finite")

    def require(self, *, features: tuple[str, ...], labels: tuple[str, ...]) -> None:
        """Refuse a model that was trained for other features or classes than the service serves.

        Raises: ModelError naming what is expected and what the file has.
        """
        for what, expected, found in (
            ("features", features, self.metadata.features),
            ("labels", labels, self.metadata.labels),
        ):
            if list(expected) != found:
                problem = f"its {what} are {found}, and this service needs {list(expected)}"
                raise ModelError(f"Model {self.path} cannot be used: {problem}. Set MODEL_PATH to one that fits.")

    def predict(self, batch: NDArray[np.generic]) -> NDArray[np.float32]:
        """Probabilities [n, classes] of a batch [n, …] as the input declares it, or scores for a model without."""
        result: NDArray[np.float32] = self.network.run({self._input: batch}, self._values)[0]
        return result

    def classify(self, batch: NDArray[np.generic]) -> list[str]:
        """The label [n] of each row of a batch, by the model's own decision rule."""
        indices = self.network.run({self._input: batch}, self._label)[0]
        return [self.metadata.labels[index] for index in indices]
