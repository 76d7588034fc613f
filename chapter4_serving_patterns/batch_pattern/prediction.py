"""From the JSON of items to predictions: many flowers at once, and a reason for each row that is none."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlsys import iris
from mlsys.model import Model

MAX_BYTES = 1000
"""Bytes of an item's JSON. A flower has some 30; a number of PostgreSQL's can have 147,000 digits."""
_row = msgspec.json.Decoder(iris.Row)


class Predictions(NamedTuple):
    """rows: places [n] of the good rows among those given. labels [n], probabilities [n, classes] are theirs.

    reasons: why each of the others is none, by place.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    reasons: dict[int, str]


class Predictor:
    """A model for flowers. Raises: ModelError if it is for other features or classes."""

    def __init__(self, model: Model) -> None:
        model.require(features=iris.FEATURES, labels=iris.LABELS)
        self.model = model
        self._input = model.metadata.inputs[0].name
        self._outputs = [tensor.name for tensor in model.metadata.outputs]

    def predict(self, values: str, count: int) -> Predictions:
        """Of `count` rows of JSON, a line each; an empty line stands for one of more than MAX_BYTES."""
        flowers, reasons = decode(values, count)
        rows = np.delete(np.arange(count), list(reasons))
        if not len(rows):
            return Predictions(rows, rows, np.empty((0, len(iris.LABELS)), np.float32), reasons)
        labels, probabilities = self.model.network.run({self._input: flowers}, self._outputs)
        finite = np.isfinite(probabilities).all(axis=1)
        reasons |= dict.fromkeys(rows[~finite].tolist(), "The model's answer is not finite.")
        return Predictions(rows[finite], labels[finite], probabilities[finite], reasons)


def decode(values: str, count: int) -> tuple[NDArray[np.float32], dict[int, str]]:
    """The good rows [n, 4], in order, and the reason against each of the others by its place."""
    try:
        flowers = _row.decode_lines(values)
        if len(flowers) == count:  # a line that is empty would be passed over
            return np.array(flowers, np.float32), {}
    except (msgspec.DecodeError, RecursionError):
        pass  # one of many is bad: look which
    flowers, reasons = [], {}
    for place, line in enumerate(values.split("\n")):
        try:
            flowers.append(_row.decode(line))
        except (msgspec.DecodeError, RecursionError) as error:
            reasons[place] = f"It is no flower: {error}." if line else f"It has more than {MAX_BYTES:,} bytes as JSON."
    return np.array(flowers, np.float32).reshape(-1, len(iris.FEATURES)), reasons


def code() -> str:
    """The sha256 of the source between an item and its prediction: if it changes, a finished run does not count.

    Raises: OSError if the source is not there.
    """
    files = (Path(__file__), Path(iris.__file__))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
