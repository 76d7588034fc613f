"""The service: a petal in, a species out."""

from typing import Annotated

import msgspec
import numpy as np
from typing_extensions import TypedDict

from mlsys import iris
from mlsys.app import Service
from mlsys.model import Model
from mlsys.openapi import example

from . import __doc__ as intent  # the pattern's one sentence
from .settings import Settings

FEATURES = ("petal_length", "petal_width")


class Petal(msgspec.Struct, forbid_unknown_fields=True):
    """Length and width of a petal in centimetres."""

    length: Annotated[iris.Number, msgspec.Meta(examples=[5.1])]
    width: Annotated[iris.Number, msgspec.Meta(examples=[2.4])]


class Species(TypedDict):
    """Name of the species."""

    prediction: Annotated[str, msgspec.Meta(examples=["virginica"])]


class Metadata(TypedDict):
    """Which model answers, what it takes and what it can say."""

    model: dict[str, str]
    features: list[str]
    labels: list[str]


def create_app(settings: Settings | None = None) -> Service:
    """The service, with its model loaded. Raises: SettingsError, ModelError."""
    settings = settings or Settings()
    model = Model.load(settings.model_path, threads=settings.model_threads)
    model.require(features=FEATURES, labels=iris.LABELS)
    service = Service(title="docker_api_pattern", description=intent or "", settings=settings)
    service.metrics.show_model(model.metadata.name, model.sha256)

    async def model_answers() -> None:
        model.warm_up()

    service.ready_when("model", model_answers)
    add_routes(service, model)
    return service


def add_routes(service: Service, model: Model) -> None:
    """What the service answers."""
    described = Metadata(
        model={"name": model.metadata.name, "sha256": model.sha256}, features=list(FEATURES), labels=list(iris.LABELS)
    )

    @service.fast_post("/predict")
    async def predict(petal: Petal) -> Species:
        """Species of a flower by its petal."""
        return {"prediction": model.classify(np.array([[petal.length, petal.width]], np.float32))[0]}

    @service.get("/metadata", responses=example(described))
    async def metadata() -> Metadata:
        """The model's name and sha256, its features in centimetres, and its classes."""
        return described
