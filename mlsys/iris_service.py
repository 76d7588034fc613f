"""The routes of the book's Iris service, for patterns whose lesson is not how a flower is predicted."""

from typing import Protocol

import numpy as np
from typing_extensions import TypedDict

from . import iris
from .app import Service
from .model import Model
from .openapi import example

PREDICTION = [0.97, 0.02, 0.01]
"""An example of an answer; what a model really says is at /predict/test."""
_LABELS = {str(index): name for index, name in enumerate(iris.LABELS)}


class Predictor(Protocol):
    """What answers: probabilities [3] in the order of `iris.LABELS`, or the class, of one flower [4] in centimetres."""

    def probabilities(self, flower: list[float]) -> list[float]: ...  # noqa: D102  # the class says it

    def label(self, flower: list[float]) -> str: ...  # noqa: D102


class IrisModel:
    """A model that knows it is about flowers. Raises: ModelError if it is for other features or classes."""

    def __init__(self, model: Model) -> None:
        model.require(features=iris.FEATURES, labels=iris.LABELS)
        self._model = model

    def probabilities(self, flower: list[float]) -> list[float]:
        """Probabilities [3] of one flower [4]."""
        probabilities: list[float] = self._model.predict(np.array([flower], dtype=np.float32))[0].tolist()
        return probabilities

    def label(self, flower: list[float]) -> str:
        """The class of one flower [4], by the model's own decision rule."""
        return self._model.classify(np.array([flower], dtype=np.float32))[0]


class Description(TypedDict):
    """What goes in and what comes out; a pattern's `/metadata` adds which model answers."""

    data_type: str
    data_structure: str
    data_sample: list[list[float]]
    prediction_type: str
    prediction_structure: str
    prediction_sample: list[float]


def describe(prediction: list[float]) -> Description:
    """The book's keys. prediction: what is answered for the sample."""
    return Description(
        data_type="float32",
        data_structure="(1,4)",
        data_sample=iris.SAMPLE,
        prediction_type="float32",
        prediction_structure="(1,3)",  # as the book has it; the answer is the one row
        prediction_sample=prediction,
    )


def add_routes(service: Service, predictor: Predictor) -> None:
    """GET /label, /predict/test and /predict/test/label, POST /predict and /predict/label."""

    @service.get("/label", responses=example(_LABELS))
    async def label() -> dict[str, str]:
        """The classes, in the order of the probabilities."""
        return _LABELS

    @service.get("/predict/test", responses=example({"prediction": PREDICTION}))
    async def predict_test() -> iris.Probabilities:
        """Probabilities of the sample."""
        return {"prediction": predictor.probabilities(iris.SAMPLE[0])}

    @service.get("/predict/test/label", responses=example({"prediction": "setosa"}))
    async def predict_test_label() -> iris.Label:
        """Most probable class of the sample."""
        return {"prediction": predictor.label(iris.SAMPLE[0])}

    @service.fast_post("/predict")
    async def predict(flower: iris.Flower) -> iris.Probabilities:
        """Probabilities of one flower."""
        return {"prediction": predictor.probabilities(flower.data[0])}

    @service.fast_post("/predict/label")
    async def predict_label(flower: iris.Flower) -> iris.Label:
        """Most probable class of one flower."""
        return {"prediction": predictor.label(flower.data[0])}
