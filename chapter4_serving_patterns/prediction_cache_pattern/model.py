"""The slow side: a picture decoded, turned into a tensor, and predicted by the model server."""

import asyncio
import hashlib
import inspect
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import numpy as np
import PIL
import structlog
from numpy.typing import NDArray

from mlsys import cifar10, picture
from mlsys.cifar10 import LABELS
from mlsys.errors import BadGateway, MlsysError, ModelError, NotReady
from mlsys.remote import Declared

from . import prediction
from .cache import Outcome
from .prediction import REFUSALS, Prediction, keep, keep_refusal

_OUTPUTS = {"label": (1,), "probabilities": (1, len(LABELS))}
_ASK_S = 2.0
_DECODERS = 2


def preprocessing() -> str:
    """Which preparation of pictures this is: 8 hexadecimal digits of its code, of the library that does it, and of the
    code that makes bytes of predictions.

    So nobody has to remember to raise a number, on the day when a picture becomes another tensor, or other bytes.
    """
    made_by = inspect.getsource(picture) + PIL.__version__ + inspect.getsource(prediction) + repr(LABELS)
    return hashlib.sha256(made_by.encode()).hexdigest()[:8]


class Model(Protocol):
    """A model elsewhere, as mlsys.remote.RemoteModel is one."""

    async def declared(self, *, timeout_s: float) -> Declared:
        """What it says of itself now."""

    async def infer(self, batch: NDArray[Any], declared: Declared, *, timeout_s: float) -> dict[str, NDArray[Any]]:
        """Its outputs. Raises: NoSuchModel if it is not the declared version any more."""

    async def close(self) -> None:
        """Close the connection."""


class Classifier:
    """Predictions of pictures by a model elsewhere, and which model that is: the beginning of its sha256.

    called: what is told of each picture that is sent to the model.
    """

    def __init__(self, model: Model, called: Callable[[], None], *, timeout_s: float, poll_s: float) -> None:
        self._model, self._called, self._timeout_s, self._poll_s = model, called, timeout_s, poll_s
        self._decoders = ThreadPoolExecutor(_DECODERS, "decode")
        self._declared: Declared | None = None

    async def agree(self) -> Declared:
        """Ask which model is there now; from now on that one is meant. Raises: ModelError, what the model raises."""
        declared = await self._model.declared(timeout_s=_ASK_S)
        cifar10.require(declared)
        if self._declared and self._declared.version != declared.version:
            structlog.get_logger("prediction_cache").info("another model", version=declared.version)
        self._declared = declared
        return declared

    async def declared(self, *, again: bool = False) -> Declared:
        """The model that is meant, asked for if there is none yet, or `again`. Raises: NotReady, what it raises."""
        if self._declared and not again:
            return self._declared
        try:
            return await self.agree()
        except ModelError as error:  # at the start a reason to end; now a reason to wait for a model that fits
            raise NotReady(str(error)) from error

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look every `poll_s` seconds which model is there: hits alone would never meet a new one."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
            await self._model.close()

    async def predict(self, content: bytes, declared: Declared) -> Outcome:
        """The prediction by the declared model, or the refusal of the picture. Decoding is part of `timeout_s`.

        Raises: NoSuchModel if the server has another model now; what the model raises; BadGateway.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout_s
        try:
            pixels = await loop.run_in_executor(self._decoders, picture.to_pixels, content)
        except REFUSALS as error:
            return keep_refusal(error)
        self._called()
        outputs = await self._model.infer(pixels[np.newaxis], declared, timeout_s=max(0.0, end - loop.time()))
        return keep(_checked(outputs))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            with suppress(MlsysError):  # what it had is still meant; who needs the model is told
                await self.agree()


def _checked(outputs: dict[str, NDArray[Any]]) -> Prediction:
    """Of a batch of one. Raises: BadGateway if these are no label and no probabilities."""
    shapes = {name: array.shape for name, array in outputs.items()}
    if shapes != _OUTPUTS:
        raise BadGateway(f"The model answered {shapes} for one picture, not {_OUTPUTS}.")
    row, label = outputs["probabilities"][0], int(outputs["label"][0])
    if not (np.isfinite(row).all() and abs(row.sum() - 1) < 1e-3 and 0 <= label < len(LABELS)):
        raise BadGateway(f"The model answered what is no prediction: {label}, {row.tolist()}.")
    return Prediction(row.tolist(), LABELS[label])
