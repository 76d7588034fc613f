"""The fast path: a picture is decoded here, in threads, and a model server says at once what it thinks it is."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsys import cifar10
from mlsys.cifar10 import LABELS, PROBABILITIES
from mlsys.errors import BadGateway, ModelError, NotReady
from mlsys.picture import to_pixels
from mlsys.remote import Declared, NoSuchModel, RemoteModel

from .both import FAST, Guess
from .calibration import CALIBRATION
from .cascade import calibrated
from .settings import Settings

ASK_S = 1.0
"""Seconds that the model server is given to say what it serves; less than a probe waits."""


class FastModel:
    """The model of one server, the calibration of its probabilities, and the threads that decode for it."""

    def __init__(self, settings: Settings) -> None:
        self._model = RemoteModel(settings.fast_target, FAST)
        self._pool = ThreadPoolExecutor(settings.decode_threads, "decode")
        self._cascades = settings.cascade_threshold < 1
        self._declared: Declared | None = None

    async def close(self) -> None:
        """Ask and decode no more."""
        await self._model.close()
        self._pool.shutdown(wait=False)

    async def agree(self) -> Declared:
        """Look at what the server serves now; what fits is asked from now on.

        Raises: ModelError if it does not fit; NotReady and others of RemoteModel.
        """
        declared = await self._model.declared(timeout_s=ASK_S)
        self._declared = None
        require_fit(declared, calibration_needed=self._cascades)
        self._declared = declared
        return declared

    async def declared(self) -> Declared:
        """As `agree`, while the service runs. Raises: NotReady if it does not fit; others of RemoteModel."""
        try:
            return await self.agree()
        except ModelError as error:  # at the start a reason to end; now a reason to wait for a model that fits
            raise NotReady(str(error)) from error

    async def guess(self, picture: bytes, timeout_s: float) -> Guess:
        """The label of a picture's file. Raises: what `to_pixels` and RemoteModel do; BadGateway."""
        pixels = await asyncio.get_running_loop().run_in_executor(self._pool, to_pixels, picture)
        version, probabilities = await self._probabilities(pixels[np.newaxis], timeout_s)
        temperature = CALIBRATION.temperature if version == CALIBRATION.fast else 1.0  # of no use to another model
        (sure,) = calibrated(probabilities.astype(np.float64), temperature)
        return Guess(LABELS[int(sure.argmax())], round(float(sure.max()), 4))

    async def _probabilities(self, batch: NDArray[np.uint8], timeout_s: float) -> tuple[str, NDArray[np.float32]]:
        declared = self._declared or await self.declared()
        try:
            outputs = await self._model.infer(batch, declared, timeout_s=timeout_s)
        except NoSuchModel:  # a new version took its place
            declared = await self.declared()
            outputs = await self._model.infer(batch, declared, timeout_s=timeout_s)
        return declared.version, _checked(outputs[PROBABILITIES.name])


def require_fit(declared: Declared, *, calibration_needed: bool) -> None:
    """Raises: ModelError if the model takes or answers something else, or if it is not the one that was calibrated."""
    cifar10.require(declared)
    if calibration_needed and declared.version != CALIBRATION.fast:
        raise ModelError(
            f"Model {declared.name} (version {declared.version}) is not the one whose probabilities were calibrated "
            f"({CALIBRATION.fast}): run `python -m {__package__}.choose` for its own, or set CASCADE_THRESHOLD=1."
        )


def _checked(probabilities: NDArray[Any]) -> NDArray[np.float32]:
    """Of a batch of one. Raises: BadGateway if these are none."""
    if probabilities.shape != (1, len(LABELS)):
        raise BadGateway(f"{FAST} answered the shape {probabilities.shape} for one picture.")
    if not (np.isfinite(probabilities).all() and probabilities.min() >= 0 and abs(probabilities.sum() - 1) < 1e-3):
        raise BadGateway(f"{FAST} answered what are no probabilities: {probabilities[0].tolist()}.")
    return probabilities
