"""Assembly: the image's own model, verified, and the routes of an Iris service."""

import structlog
from typing_extensions import TypedDict

from mlsys import iris
from mlsys.app import Service
from mlsys.model import Model
from mlsys.openapi import example
from mlsys.server.repository import Models, Served
from mlsys.server.rest import mount

from . import __doc__ as intent  # the pattern's one sentence
from . import identity
from .predictor import IrisPredictor
from .settings import Settings


class Metadata(TypedDict):
    """What goes in, what comes out, which model answers, and which one the image was built with."""

    data_type: str
    data_structure: str
    data_sample: list[list[float]]
    prediction_type: str
    prediction_structure: str
    prediction_sample: list[float]
    model: dict[str, str]
    image: dict[str, str | None]


def load(settings: Settings) -> Model:
    """The model, which is the image's own where there is an image. Raises: ModelError."""
    if settings.model_sha256:  # first, so that the runtime never reads a file that nobody vouched for
        identity.require_same(settings.model_path, identity.digest(settings.model_path), settings.model_sha256)
    model = Model.load(settings.model_path, threads=settings.model_threads)
    if settings.model_sha256:  # and again of the very bytes that will answer: the file may have changed between
        identity.require_same(settings.model_path, model.sha256, settings.model_sha256)
    return model


def create_app(settings: Settings | None = None) -> Service:
    """The service, with its model loaded. Raises: SettingsError, ModelError."""
    settings = settings or Settings()
    model = load(settings)
    predictor = IrisPredictor(model)
    service = Service(title="model_in_image_pattern", description=intent or "", settings=settings)
    service.metrics.show_model(model.metadata.name, model.sha256)
    image = {"model_sha256": settings.model_sha256}

    async def say_which() -> None:
        structlog.get_logger(__name__).info("serving", model=model.metadata.name, sha256=model.sha256, image=image)

    async def model_answers() -> None:
        model.warm_up()

    service.start_when("model", say_which, within_s=1)  # in the log of the worker that serves, before it does
    service.ready_when("model", model_answers)
    add_description(service, model, predictor, image)
    add_predictions(service, predictor)
    mount(service, Models(Served(model.metadata.name, model.network)))  # /v2: batches, and clients of other servers
    return service


def add_description(service: Service, model: Model, predictor: IrisPredictor, image: dict[str, str | None]) -> None:
    """The routes that say what the service takes and gives."""
    labels = {str(index): name for index, name in enumerate(iris.LABELS)}
    described = Metadata(
        data_type="float32",
        data_structure="(1,4)",
        data_sample=iris.SAMPLE,
        prediction_type="float32",
        prediction_structure="(1,3)",  # as the book has it; the answer is the one row
        prediction_sample=predictor.probabilities(iris.SAMPLE[0]),
        model={"name": model.metadata.name, "sha256": model.sha256},
        image=image,
    )

    @service.get("/metadata", responses=example(described))
    async def metadata() -> Metadata:
        """Shapes and types of input and output, the model's name and sha256, and the image's (null without one)."""
        return described

    @service.get("/label", responses=example(labels))
    async def label() -> dict[str, str]:
        """The classes, in the order of the probabilities."""
        return labels


def add_predictions(service: Service, predictor: IrisPredictor) -> None:
    """The routes that predict: the sample, and what the caller sends."""

    @service.get("/predict/test", responses=example({"prediction": predictor.probabilities(iris.SAMPLE[0])}))
    async def predict_test() -> iris.Probabilities:
        """Probabilities of the sample."""
        return {"prediction": predictor.probabilities(iris.SAMPLE[0])}

    @service.get("/predict/test/label", responses=example({"prediction": predictor.label(iris.SAMPLE[0])}))
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
