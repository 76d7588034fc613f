"""What every route does: look ids up, get their tensors from the cache, have the model predict all of them at once."""

from typing import Any

from mlsys.edge import remaining_s
from mlsys.errors import NotFound, ServiceError

from .cache import Found, TensorCache
from .classifier import Classifier, Prediction
from .items import Items
from .value import Array


class Predictor:
    """From ids to predictions."""

    def __init__(self, items: Items, cache: TensorCache, classifier: Classifier) -> None:
        self._items, self._cache, self._classifier = items, cache, classifier

    async def one(self, item: str, *, renew: bool = False) -> tuple[Prediction, dict[str, str]]:
        """The prediction and the headers that say where the tensor is from. Raises: ServiceError."""
        self._items.require(item)
        tensor, found = _require(item, (await self._cache.get([item], renew=renew))[item])
        (prediction,) = await self._classifier.predict([tensor], remaining_s)
        return prediction, {"X-Cache": found.how, "Age": f"{found.age_s:.0f}"}

    async def several(self, ids: list[str], *, renew: bool = False) -> dict[str, dict[str, Any]]:
        """By id the prediction, or why there is none: one round trip to the cache, one call of the model.

        Raises: ServiceError if the model cannot be used.
        """
        answers: dict[str, dict[str, Any]] = {item: {} for item in ids}
        known = [item for item in answers if item in self._items.names]
        found = await self._cache.get(known, renew=renew) if known else {}
        tensors: dict[str, tuple[Array, Found]] = {}
        for item in answers:
            try:
                self._items.require(item)
                tensors[item] = _require(item, found[item])
            except ServiceError as error:
                answers[item] = {"error": {"code": error.code, "message": str(error)}}
        if tensors:
            predictions = await self._classifier.predict([tensor for tensor, _ in tensors.values()], remaining_s)
            for (item, (_, where)), one in zip(tensors.items(), predictions, strict=True):
                said = {"cache": where.how, "age_s": round(where.age_s, 1)}
                answers[item] = {"prediction": one.probabilities, "label": one.label} | said
        return answers


def _require(item: str, found: Found | ServiceError) -> tuple[Array, Found]:
    if isinstance(found, ServiceError):
        raise found
    if found.tensor is None:
        raise NotFound(f"Item {item!r} has no usable picture: {found.reason.rstrip('.')}.")
    return found.tensor, found
