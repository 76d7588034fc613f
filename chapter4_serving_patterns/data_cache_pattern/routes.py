"""The book's routes for items by their ids, and one for several ids at once."""

from collections.abc import Mapping

import msgspec
from fastapi import Request, Response

from mlsys.app import Service
from mlsys.cifar10 import LABELS
from mlsys.edge import CLIENT_GONE
from mlsys.openapi import example

from . import describe
from .classifier import Classifier
from .items import Items
from .predictor import Predictor

SAMPLE = "0000"
"""The item that the test routes predict."""


def add_routes(service: Service, items: Items, predictor: Predictor, classifier: Classifier) -> None:
    """GET /items /label /metadata /predict/test /predict/test/label, POST /predict /predict/label /predict/batch."""

    @service.get("/items", responses=example({"items": ["0000", "0001"]}))
    async def item_ids() -> dict[str, list[str]]:
        """The ids that there are."""
        return {"items": list(items.names)}

    @service.get("/label", responses=example(list(LABELS)))
    async def label() -> list[str]:
        """The classes, in the order of the probabilities."""
        return (await classifier.declared()).labels

    @service.get("/metadata", responses=describe.found(describe.ABOUT, with_headers=False))
    async def metadata() -> describe.Metadata:
        """Types of input and output, with samples, and the model's name and version."""
        prediction, _ = await predictor.one(SAMPLE)
        declared = await classifier.declared()
        model = {"name": declared.name, "version": declared.version}
        return {**describe.ABOUT, "prediction_sample": prediction.probabilities, "model": model}

    @service.get("/predict/test", responses=describe.found({"prediction": describe.PREDICTION}))
    async def predict_test(request: Request) -> Response:
        """Probabilities of the sample item."""
        prediction, headers = await predictor.one(SAMPLE, renew=_renews(request))
        return _answer({"prediction": prediction.probabilities}, headers)

    @service.get("/predict/test/label", responses=describe.found({"prediction": "cat"}))
    async def predict_test_label(request: Request) -> Response:
        """Class of the sample item."""
        prediction, headers = await predictor.one(SAMPLE, renew=_renews(request))
        return _answer({"prediction": prediction.label}, headers)

    @service.post("/predict", **describe.of_one(describe.PREDICTION))
    async def predict(request: Request) -> Response:
        """Probabilities of one item."""
        item = (await describe.received(request, describe.ITEM)).data
        prediction, headers = await predictor.one(item, renew=_renews(request))
        return _answer({"prediction": prediction.probabilities}, headers)

    @service.post("/predict/label", **describe.of_one("cat"))
    async def predict_label(request: Request) -> Response:
        """Class of one item."""
        item = (await describe.received(request, describe.ITEM)).data
        prediction, headers = await predictor.one(item, renew=_renews(request))
        return _answer({"prediction": prediction.label}, headers)

    @service.post("/predict/batch", **describe.of_several())
    async def predict_batch(request: Request) -> Response:
        """Several items at once; what is wrong with one is said in its place."""
        ids = (await describe.received(request, describe.SEVERAL)).data
        return _answer({"predictions": await predictor.several(ids, renew=_renews(request))}, {})


def _renews(request: Request) -> bool:
    """Whether the caller wants nothing from a cache (RFC 9111, 5.2.1.4)."""
    return "no-cache" in request.headers.get("cache-control", "").lower()


def _answer(content: Mapping[str, object], headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json", headers=headers)


async def caller_gone(_: Request, __: Exception) -> Response:
    """Nobody reads it, but it is counted."""
    return Response(status_code=CLIENT_GONE)
