"""From pictures to predictions, many at a time, so that none suffers from another that comes with it.

No picture is to blame for a server that does not answer before it has been sent any, or says that it has no room. One
that breaks amid a batch is another thing: a picture may have done it, and would do it again and again. That counts.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsys import cifar10
from mlsys.errors import BadGateway, DeadlineExceeded, ModelError, NotReady, OverCapacity, ServiceError
from mlsys.picture import to_pixels
from mlsys.remote import Declared, NoSuchModel, RemoteModel

from .prediction import Prediction

ASK_S = 2.0
"""Seconds that the model server is given to say what it serves."""
FRESH_S = 0.2
"""Seconds for which an answer proves that the model server is there: less than a failed job's first pause, else workers
would learn of an outage one after the other, each at the cost of an attempt."""

Pixels = NDArray[np.uint8]


class Failed(NamedTuple):
    """Why there is no prediction; `poison` if there never will be one, because of the picture itself."""

    reason: str
    poison: bool


Outcome = Prediction | Failed


class Predictor:
    """A model elsewhere, and threads that decode pictures for it."""

    def __init__(self, model: RemoteModel, *, timeout_s: float, decode_threads: int) -> None:
        self._model = model
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(decode_threads, "decode")
        self._declared: Declared | None = None
        self._answered = 0.0

    async def ready(self, *, fresh: bool = False) -> Declared:
        """What the model says of itself; it is asked once, and again when it has failed.

        fresh: it is also asked if it has not been heard of for FRESH_S.
        Raises: NotReady if it is not there, or is no model for pictures.
        """
        if self._declared is None or (fresh and time.monotonic() - self._answered > FRESH_S):
            self._declared = None
            try:
                declared = await self._model.declared(timeout_s=ASK_S)
                cifar10.require(declared)
            except ServiceError as error:
                raise NotReady(error.message) from error
            except ModelError as error:
                raise NotReady(str(error)) from error
            self._declared, self._answered = declared, time.monotonic()
        return self._declared

    async def predict(self, pictures: Sequence[bytes]) -> list[Outcome]:
        """An outcome for each picture, in their order.

        Raises: NotReady if the model server is away or over capacity, so that no picture is to blame.
        """
        decoded = await asyncio.get_running_loop().run_in_executor(self._pool, _decoded, pictures)
        outcomes: list[Outcome] = [each if isinstance(each, Failed) else Failed("", poison=False) for each in decoded]
        sound = [place for place, each in enumerate(decoded) if not isinstance(each, Failed)]
        if sound:
            predicted = await self._infer(np.stack([each for each in decoded if not isinstance(each, Failed)]))
            for place, outcome in zip(sound, predicted, strict=True):
                outcomes[place] = outcome
        return outcomes

    async def close(self) -> None:
        """Close the connection."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        await self._model.close()

    async def _infer(self, batch: Pixels) -> list[Outcome]:
        """Of pixels [n, 32, 32, 3]. If a batch fails while the server is well, its halves are asked for, and so on."""
        declared = await self.ready(fresh=True)
        try:
            outputs = await self._model.infer(batch, declared, timeout_s=self._timeout_s)
            self._answered = time.monotonic()
            return _read(outputs, declared, len(batch))
        except (NoSuchModel, OverCapacity) as error:
            self._declared = None
            raise NotReady(error.message) from error
        except ServiceError as error:
            self._declared = None
            failed: list[Outcome] = [Failed(error.message, poison=False)] * len(batch)
            if len(batch) == 1 or not isinstance(error, BadGateway | DeadlineExceeded):
                return failed
        half = len(batch) // 2
        try:
            return await self._infer(batch[:half]) + await self._infer(batch[half:])
        except NotReady:  # it has not survived
            return failed


def _decoded(pictures: Sequence[bytes]) -> list[Pixels | Failed]:
    return [_pixels(picture) for picture in pictures]


def _pixels(picture: bytes) -> Pixels | Failed:
    try:
        return to_pixels(picture)
    except ServiceError as error:
        return Failed(error.message, poison=True)


def _read(outputs: dict[str, NDArray[Any]], declared: Declared, count: int) -> list[Outcome]:
    """Raises: BadGateway if these are no labels and probabilities of so many pictures."""
    labels, rows = outputs["label"], outputs["probabilities"]
    if (labels.shape, rows.shape) != ((count,), (count, len(declared.labels))):
        raise BadGateway(f"The model answered the shapes {labels.shape} and {rows.shape} for {count} pictures.")
    if not (np.isfinite(rows).all() and ((labels >= 0) & (labels < len(declared.labels))).all()):
        raise BadGateway("The model answered a label that does not exist, or a probability that is no number.")
    return [
        Prediction(declared.labels[label], round(float(row[label]), 6), declared.name, declared.version)
        for label, row in zip(labels, rows, strict=True)
    ]
