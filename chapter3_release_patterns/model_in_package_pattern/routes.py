"""The routes of an Iris service, answered by the default model, and the list of all that are installed."""

from collections.abc import Callable, Sequence

from typing_extensions import TypedDict

from mlsys import iris
from mlsys.app import Service
from mlsys.openapi import example

from .predictor import IrisPredictor

LABELS = {str(index): name for index, name in enumerate(iris.LABELS)}
PROBABILITIES = [0.97, 0.02, 0.01]
"""An example; what the model really says is at /predict/test."""


class Listed(TypedDict):
    """One installed model package. `version` is the package's, `sha256` the model file's."""

    name: str
    distribution: str
    version: str
    sha256: str
    requires: list[str]
    default: bool


class Metadata(TypedDict):
    """What goes in, what comes out, and which package's model answers."""

    data_type: str
    data_structure: str
    data_sample: list[list[float]]
    prediction_type: str
    prediction_structure: str
    prediction_sample: list[float]
    model: Listed


PACKAGE = Listed(
    name="iris_svc",
    distribution="mlsys-model-iris-svc",
    version="1.1.1+iris.2026.11",
    sha256="22d401aeed3699b6d4be3e7705324b832675a881e62c0bf2167035edd017bbe8",
    requires=["onnxruntime<2,>=1.31"],
    default=True,
)


def add_description(service: Service, listed: Sequence[Listed], predictor: Callable[[], IrisPredictor]) -> None:
    """The routes that say which models there are, and what the default one takes and gives."""

    def described(model: Listed, sample: list[float]) -> Metadata:
        return Metadata(
            data_type="float32",
            data_structure="(1,4)",
            data_sample=iris.SAMPLE,
            prediction_type="float32",
            prediction_structure="(1,3)",  # as the book has it; the answer is the one row
            prediction_sample=sample,
            model=model,
        )

    @service.get("/models", responses=example([PACKAGE]))
    async def models() -> list[Listed]:
        """The model packages that are installed, all of which are served under /v2/models by their names."""
        return list(listed)

    @service.get("/metadata", responses=example(described(PACKAGE, PROBABILITIES)))
    async def metadata() -> Metadata:
        """Shapes and types of input and output, with samples, and the package of the default model."""
        default = next(one for one in listed if one["default"])
        return described(default, predictor().probabilities(iris.SAMPLE[0]))

    @service.get("/label", responses=example(LABELS))
    async def label() -> dict[str, str]:
        """The classes, in the order of the probabilities."""
        return LABELS


def add_predictions(service: Service, predictor: Callable[[], IrisPredictor]) -> None:
    """The routes that predict: the sample, and what the caller sends."""

    @service.get("/predict/test", responses=example({"prediction": PROBABILITIES}))
    async def predict_test() -> iris.Probabilities:
        """Probabilities of the sample."""
        return {"prediction": predictor().probabilities(iris.SAMPLE[0])}

    @service.get("/predict/test/label", responses=example({"prediction": "setosa"}))
    async def predict_test_label() -> iris.Label:
        """Most probable class of the sample."""
        return {"prediction": predictor().label(iris.SAMPLE[0])}

    @service.fast_post("/predict")
    async def predict(flower: iris.Flower) -> iris.Probabilities:
        """Probabilities of one flower."""
        return {"prediction": predictor().probabilities(flower.data[0])}

    @service.fast_post("/predict/label")
    async def predict_label(flower: iris.Flower) -> iris.Label:
        """Most probable class of one flower."""
        return {"prediction": predictor().label(flower.data[0])}
