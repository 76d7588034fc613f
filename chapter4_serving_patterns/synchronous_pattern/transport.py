"""What the client needs of a model server, whichever of the protocol's two forms carries it."""

import json
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlsys.errors import MlsysError

Tensors = dict[str, NDArray[Any]]


class Refused(MlsysError):
    """No attempt will be answered: an unknown model, an input of another kind, a picture that is none."""


class WrongAnswer(MlsysError):
    """The server failed, or what it sent is no answer to the question."""


class Transport(Protocol):
    """Blocking calls on kept connections; safe to share between threads.

    left_s: seconds that the caller still waits, which the server is told too; None: for ever.
    Each raises: Unavailable, DeadlineExceeded, Refused, WrongAnswer.
    """

    def metadata(self, model: str, left_s: float | None, /) -> dict[str, Any]:
        """Name, versions, platform, inputs and outputs of a model, as the protocol has them."""

    def labels(self, model: str, left_s: float | None, /) -> list[str]:
        """The model's class names, in the order of its probabilities."""

    def infer(self, model: str, pixels: NDArray[np.uint8], left_s: float | None, /) -> Tensors:
        """`label` INT64 [n] and `probabilities` FP32 [n, classes] for pixels [n, 32, 32, 3] in RGB."""


def class_names(document: str) -> list[str]:
    """The parameter `labels` of a model's configuration: a JSON list of names. Raises: ValueError if it is none."""
    names: list[str] = json.loads(document)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(document)
    return names
