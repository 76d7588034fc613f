"""The lesson: a service that makes tensors for a model elsewhere, and never sends it one that it did not agree on.

Prep and model are released apart, so they can disagree, and most disagreements raise no error: pixels as BGR, or from 0
to 1, are a tensor of the right size and give a wrong answer. So what prep produces is compared with what the model
declares before the first answer, every tensor is addressed to the very version that was compared, and an answer is
checked before it is passed on. The price of two services is one more hop, and this file.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlsys.cifar10 import LABELS
from mlsys.errors import BadGateway, ModelError, NotReady
from mlsys.metadata import Tensor
from mlsys.picture import SIDE
from mlsys.remote import Declared, NoSuchModel

INPUT = Tensor(name="input", datatype="UINT8", shape=[-1, SIDE, SIDE, 3])
"""What prep produces: rows, columns, RGB, as they are; the model file has the normalisation."""
OUTPUTS = [
    Tensor(name="label", datatype="INT64", shape=[-1]),
    Tensor(name="probabilities", datatype="FP32", shape=[-1, len(LABELS)]),
]

Pixels = NDArray[np.uint8]
P = TypeVar("P")


class Model(Protocol):
    """A model elsewhere, as mlsys.remote.RemoteModel is one."""

    async def declared(self, *, timeout_s: float) -> Declared:
        """What it says of itself now."""

    async def infer(self, batch: NDArray[Any], declared: Declared, *, timeout_s: float) -> dict[str, NDArray[Any]]:
        """Its outputs. Raises: NoSuchModel if it is not the declared version any more."""


class Prediction(NamedTuple):
    """Probabilities [10] of LABELS, and the one that the model decides for."""

    probabilities: list[float]
    label: str


class Prep(Generic[P]):
    """From a picture, in whatever form `decode` takes it, to a prediction.

    `timed` is told "decode" and "predict", and what it returns is entered for the time that each takes.
    """

    def __init__(
        self,
        model: Model,
        decode: Callable[[P], Awaitable[Pixels]],
        timed: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._model = model
        self._decode = decode
        self._timed = timed
        self._agreed: Declared | None = None

    async def agree(self, timeout_s: float) -> Declared:
        """Compare what the model declares now with what is produced here; from now on that version is asked.

        Raises: ModelError if they differ, and then nothing is sent any more; what the model raises.
        """
        declared = await self._model.declared(timeout_s=timeout_s)
        self._agreed = None
        _require_agreement(declared)
        self._agreed = declared
        return declared

    async def declared(self, timeout_s: float) -> Declared:
        """As `agree`, while the service runs. Raises: NotReady if they differ; what the model raises."""
        try:
            return await self.agree(timeout_s)
        except ModelError as error:  # at the start a reason to end; now a reason to wait for a model that fits
            raise NotReady(str(error)) from error

    async def predict(self, picture: P, remaining_s: Callable[[], float]) -> Prediction:
        """The model's prediction of one picture. `remaining_s` says how long the caller still waits, in seconds.

        Raises: NotReady if the model is not there, or not the one that was agreed on; BadGateway if its answer cannot
        be one; DeadlineExceeded; and what `decode` raises of a picture that is none.
        """
        with self._timed("decode"):
            pixels = await self._decode(picture)
        with self._timed("predict"):
            outputs = await self._infer(pixels[np.newaxis], remaining_s)
        return _checked(outputs["label"], outputs["probabilities"])

    async def _infer(self, batch: Pixels, remaining_s: Callable[[], float]) -> dict[str, NDArray[Any]]:
        declared = self._agreed or await self.declared(remaining_s())
        try:
            return await self._model.infer(batch, declared, timeout_s=remaining_s())
        except NoSuchModel:  # a new version took its place: the same contract, or none
            declared = await self.declared(remaining_s())
            return await self._model.infer(batch, declared, timeout_s=remaining_s())


def _require_agreement(declared: Declared) -> None:
    for what, here, there in (
        ("takes", _text([INPUT]), _text(declared.inputs)),
        ("answers", _text(OUTPUTS), _text(declared.outputs)),
        ("has the labels", list(LABELS), declared.labels),
    ):
        if here != there:
            model = f"Model {declared.name} (version {declared.version})"
            advice = "serve a model that fits, or name one by MODEL_NAME"
            raise ModelError(f"{model} {what} {there}, and this service is made for {here}: {advice}.")


def _checked(label: NDArray[Any], probabilities: NDArray[Any]) -> Prediction:
    """Of a batch of one. Raises: BadGateway if these are no label and no probabilities."""
    if label.shape != (1,) or probabilities.shape != (1, len(LABELS)):
        raise BadGateway(f"The model answered the shapes {label.shape} and {probabilities.shape} for one picture.")
    row: NDArray[np.float32] = probabilities[0]
    if not (np.isfinite(row).all() and row.min() >= 0 and abs(row.sum() - 1) < 1e-3):
        raise BadGateway(f"The model answered what are no probabilities: {row.tolist()}.")
    if not 0 <= label[0] < len(LABELS):
        raise BadGateway(f"The model answered the label {label[0]}, of {len(LABELS)}.")
    return Prediction(row.tolist(), LABELS[label[0]])


def _text(tensors: list[Tensor]) -> str:
    return ", ".join(f"{tensor.name} {tensor.datatype}{tensor.shape}" for tensor in tensors)
