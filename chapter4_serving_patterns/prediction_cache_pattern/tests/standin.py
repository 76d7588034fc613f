"""A model that answers by what it is sent, counts, and can be told to be another one, to fail and to wait."""

import asyncio
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsys.cifar10 import INPUT, LABEL, LABELS, PROBABILITIES
from mlsys.remote import Declared, NoSuchModel

FIRST, SECOND = "0123456789ab", "ba9876543210"


class StandIn:
    """Its probabilities depend on the pixels and on its version, so that no two are mistaken for each other."""

    def __init__(self) -> None:
        self.version = FIRST
        self.labels = list(LABELS)
        self.calls = 0
        self.fail: Exception | None = None
        self.answer: dict[str, NDArray[Any]] | None = None
        self.hold_s = 0.0
        self.given_s = 0.0

    async def declared(self, *, timeout_s: float) -> Declared:  # noqa: ARG002
        if self.fail:
            raise self.fail
        return Declared("cifar10_large", self.version, [INPUT], [LABEL, PROBABILITIES], self.labels)

    async def infer(self, batch: NDArray[Any], declared: Declared, *, timeout_s: float) -> dict[str, NDArray[Any]]:
        self.calls += 1
        self.given_s = timeout_s
        await asyncio.sleep(self.hold_s)
        if self.fail:
            raise self.fail
        if declared.version != self.version:
            raise NoSuchModel(f"There is no version {declared.version}.")
        if self.answer:
            return self.answer
        return self.prediction(batch, self.version)

    async def close(self) -> None:
        """There is nothing to close."""

    @staticmethod
    def prediction(batch: NDArray[Any], version: str) -> dict[str, NDArray[Any]]:
        """What the model of that version says of a batch of one."""
        seed = int(batch.astype(np.int64).sum()) + int(version, 16) % 1000
        raw = np.random.default_rng(seed).random((1, len(LABELS))).astype(np.float32)
        row = raw / raw.sum()
        return {"label": row.argmax(axis=1), "probabilities": row}
