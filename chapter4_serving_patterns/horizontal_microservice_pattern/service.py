"""The service of one species: one small model, asked whether a flower is of it."""

from typing import Annotated

import msgspec
import numpy as np
from typing_extensions import TypedDict

from mlsys import iris
from mlsys.app import Service
from mlsys.errors import ModelError
from mlsys.iris_service import Description, describe
from mlsys.model import Model
from mlsys.openapi import example

from .settings import Settings

EXAMPLE = {"prediction": [0.97, 0.03]}


class Probabilities(TypedDict):
    """[p, 1 - p]: of the species, and of all others."""

    prediction: Annotated[list[float], msgspec.Meta(examples=[EXAMPLE["prediction"]])]


class Metadata(Description):
    """What goes in, what comes out, and which model answers."""

    model: dict[str, str]


class SpeciesModel:
    """A model that tells one species from the others. Raises: ModelError if it is another model."""

    def __init__(self, model: Model) -> None:
        self.species = model.metadata.labels[0]
        if self.species not in iris.LABELS:
            raise ModelError(f"Model {model.path} tells {self.species!r}, which is none of {list(iris.LABELS)}.")
        model.require(features=iris.FEATURES, labels=(self.species, "other"))
        self._model = model

    def probabilities(self, flower: list[float]) -> list[float]:
        """[p, 1 - p] of one flower [4] in centimetres."""
        found: list[float] = self._model.predict(np.array([flower], dtype=np.float32))[0].tolist()
        return found


def create_app(settings: Settings | None = None) -> Service:
    """The service, with its model loaded. Raises: SettingsError, ModelError."""
    settings = settings or Settings()
    model = Model.load(settings.model_path, threads=settings.model_threads)
    one = SpeciesModel(model)
    service = Service(
        title=f"horizontal_microservice_pattern: {one.species}", description=__doc__ or "", settings=settings
    )
    service.metrics.show_model(model.metadata.name, model.sha256)

    async def model_answers() -> None:
        model.warm_up()

    service.ready_when("model", model_answers)
    add_description(service, model, one)

    @service.get("/predict/test", responses=example(EXAMPLE))
    async def predict_test() -> Probabilities:
        """Whether the sample is of the species."""
        return {"prediction": one.probabilities(iris.SAMPLE[0])}

    @service.fast_post("/predict")
    async def predict(flower: iris.Flower) -> Probabilities:
        """Whether one flower is of the species."""
        return {"prediction": one.probabilities(flower.data[0])}

    return service


def add_description(service: Service, model: Model, one: SpeciesModel) -> None:
    """The routes that say what the service takes and gives."""
    labels = {str(index): name for index, name in enumerate(model.metadata.labels)}
    about = describe(one.probabilities(iris.SAMPLE[0])) | {"prediction_structure": "(1,2)"}
    described = Metadata(**about, model={"name": model.metadata.name, "sha256": model.sha256})

    @service.get("/metadata", responses=example(described))
    async def metadata() -> Metadata:
        """Shapes and types of input and output, with samples, and the model's name and sha256."""
        return described

    @service.get("/label", responses=example(labels))
    async def label() -> dict[str, str]:
        """The species, and what all others are called."""
        return labels
