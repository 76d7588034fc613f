"""The contract of the CIFAR-10 models: what they take, what they answer, and which classes there are."""

from typing import TYPE_CHECKING

from .errors import ModelError
from .metadata import Tensor
from .picture import SIDE

if TYPE_CHECKING:  # who only names the classes needs no gRPC
    from .remote import Declared

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""The classes, in the order of the probabilities."""
INPUT = Tensor(name="input", datatype="UINT8", shape=[-1, SIDE, SIDE, 3])
"""Rows, columns, RGB, as they are; the model file has the normalisation."""
LABEL = Tensor(name="label", datatype="INT64", shape=[-1])
PROBABILITIES = Tensor(name="probabilities", datatype="FP32", shape=[-1, len(LABELS)])


def require(declared: "Declared") -> None:
    """Raises: ModelError if the model takes something else, answers something else, or has other classes."""
    for what, here, there in (
        ("takes", _text([INPUT]), _text(declared.inputs)),
        ("answers", _text([LABEL, PROBABILITIES]), _text(declared.outputs)),
        ("has the labels", list(LABELS), declared.labels),
    ):
        if here != there:
            model = f"Model {declared.name} (version {declared.version})"
            advice = "serve a model that fits, or name one by MODEL_NAME"
            raise ModelError(f"{model} {what} {there}, and this service is made for {here}: {advice}.")


def _text(tensors: list[Tensor]) -> str:
    return ", ".join(f"{tensor.name} {tensor.datatype}{tensor.shape}" for tensor in tensors)
