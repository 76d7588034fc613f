"""The model elsewhere: whole batches of tensors in one call, after it has said that it takes such tensors."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mlsys import cifar10
from mlsys.errors import BadGateway, ModelError, NotReady
from mlsys.remote import Declared, NoSuchModel, RemoteModel

from .value import Array

ASK_S = 2.0
"""Seconds that the model server is given to say what it serves."""


class Prediction(NamedTuple):
    """Probabilities of the classes, and the class that the model decides for."""

    probabilities: list[float]
    label: str


class Classifier:
    """A model for tensors like PIXELS."""

    def __init__(self, model: RemoteModel) -> None:
        self._model = model
        self._agreed: Declared | None = None

    async def agree(self) -> Declared:
        """Ask the model what it takes and gives. Raises: ModelError if it is something else; what the model raises."""
        self._agreed = None
        declared = await self._model.declared(timeout_s=ASK_S)
        cifar10.require(declared)
        self._agreed = declared
        return declared

    async def declared(self) -> Declared:
        """What was agreed on, or is now. Raises: NotReady if that model is for something else; what it raises."""
        try:
            return self._agreed or await self.agree()
        except ModelError as error:  # at the start a reason to end; now a reason to wait for a model that fits
            raise NotReady(str(error)) from error

    async def predict(self, tensors: Sequence[Array], remaining_s: Callable[[], float]) -> list[Prediction]:
        """A prediction for each tensor. Raises: as `declared`; BadGateway if the answer cannot be one."""
        batch, declared = np.stack(tensors), await self.declared()
        try:
            found = await self._model.infer(batch, declared, timeout_s=remaining_s())
        except NoSuchModel:  # a new version took its place
            self._agreed = None
            declared = await self.declared()
            found = await self._model.infer(batch, declared, timeout_s=remaining_s())
        return _checked(found, len(batch), declared.labels)

    async def close(self) -> None:
        """Close the connection."""
        await self._model.close()


def _checked(found: dict[str, Array], count: int, labels: list[str]) -> list[Prediction]:
    label, rows = found["label"], found["probabilities"]
    good = label.shape == (count,) and rows.shape == (count, len(labels)) and np.isfinite(rows).all()
    if not good or label.min() < 0 or label.max() >= len(labels):
        raise BadGateway(f"The model answered {rows.tolist()} and {label.tolist()} for {count} pictures.")
    return [Prediction(row.tolist(), labels[each]) for row, each in zip(rows, label, strict=True)]
