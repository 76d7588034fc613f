"""What this service promises its callers, and so asks of every model: signature, features, labels, sane answers."""

import hashlib
from pathlib import Path

import numpy as np

from mlsys import iris
from mlsys.errors import ModelError
from mlsys.metadata import Metadata, Tensor
from mlsys.model import Model
from mlsys.network import Array, Network, read, text

INPUTS = [Tensor(name="input", datatype="FP32", shape=[-1, len(iris.FEATURES)])]
OUTPUTS = [
    Tensor(name="label", datatype="INT64", shape=[-1]),
    Tensor(name="probabilities", datatype="FP32", shape=[-1, len(iris.LABELS)]),
]
_QUANTILES = 21
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def verified(path: Path, sha256: str, threads: int) -> Model:
    """The model in the very bytes that were hashed, if it is that one and of this service's signature.

    Raises: ModelError with the reason alone.
    """
    content = read(path)
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise ModelError(f"the file has the sha256 {found[:12]}…, and not {sha256[:12]}…")
    network = Network(path, content, threads=threads)
    if (network.inputs, network.outputs) != (INPUTS, OUTPUTS):
        has = f"{text(network.inputs)} -> {text(network.outputs)}"
        raise ModelError(f"its signature is {has}, and this service needs {text(INPUTS)} -> {text(OUTPUTS)}")
    about = network.metadata
    if about is None or (about.features, about.labels) != (list(iris.FEATURES), list(iris.LABELS)):
        raise ModelError(f"its document does not have the features {iris.FEATURES} and the labels {iris.LABELS}")
    return Model(network, about)


def reference(metadata: Metadata) -> Array:
    """Rows [21, features]: every feature at its 0 %, 5 %, … 100 % quantile in the training data. Raises: ModelError."""
    quantiles = [feature.quantiles for feature in metadata.profile]
    if [len(row) for row in quantiles] != [_QUANTILES] * len(iris.FEATURES):
        raise ModelError("it has no reference profile of these features to be tested on")
    if not all(abs(value) <= _FLOAT32_MAX for row in quantiles for value in row):
        raise ModelError("its reference profile has numbers that are not finite in float32")
    return np.array(quantiles, dtype=np.float32).T


def labels_of(model: Model, rows: Array) -> list[str]:
    """The label [n] of each row, once labels and probabilities [n, 3] have been found sane.

    Raises: ModelError if the model cannot answer, or not with known labels and finite probabilities that sum to 1.
    """
    try:
        labels, probabilities = model.network.run({INPUTS[0].name: rows}, [tensor.name for tensor in OUTPUTS])
    except Exception as error:  # the runtime's exceptions share no base class of their own
        raise ModelError(f"it cannot predict its own reference profile ({_first_line(error)})") from error
    if (labels.shape, probabilities.shape) != ((len(rows),), (len(rows), len(iris.LABELS))):
        raise ModelError(f"to {len(rows)} rows it answers labels {labels.shape}, probabilities {probabilities.shape}")
    if not np.isin(labels, range(len(iris.LABELS))).all():  # -1 would be read as the last one
        raise ModelError(f"it gives a label that is not 0 to {len(iris.LABELS) - 1} on its own reference profile")
    if not np.isfinite(probabilities).all():
        raise ModelError("a probability is not finite on its own reference profile")
    if (probabilities < -1e-6).any() or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
        raise ModelError("its probabilities do not sum to 1 on its own reference profile")
    return [iris.LABELS[label] for label in labels]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)  # a MemoryError says nothing
