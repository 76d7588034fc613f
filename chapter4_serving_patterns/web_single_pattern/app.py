"""Assembly: one process, one model, the routes of an Iris service."""

from typing_extensions import TypedDict

from mlsys import iris
from mlsys.app import Service
from mlsys.model import Model
from mlsys.openapi import example
from mlsys.server.repository import Models, Served
from mlsys.server.rest import mount

from . import __doc__ as intent  # the pattern's one sentence
from .predictor import IrisPredictor
from .settings import Settings


class Metadata(TypedDict):
    """What goes in, what comes out, and which model answers."""

    data_type: str
    data_structure: str
    data_sample: list[list[float]]
    prediction_type: str
    prediction_structure: str
    prediction_sample: list[float]
    model: dict[str, str]


def create_app(settings: Settings | None = None) -> Service:
    """The service, with its model loaded. Raises: SettingsError, ModelError."""
    settings = settings or Settings()
    model = Model.load(settings.model_path, threads=settings.model_threads)
    predictor = IrisPredictor(model)
    service = Service(title="web_single_pattern", description=intent or "", settings=settings)
    service.metrics.show_model(model.metadata.name, model.sha256)

    async def model_answers() -> None:
        model.warm_up()

    service.ready_when("model", model_answers)
    add_description(service, model, predictor)
    add_predictions(service, predictor)
    mount(service, Models(Served(model.metadata.name, model.network)))  # /v2: batches, and clients of other servers
    return service


def add_description(service: Service, model: Model, predictor: IrisPredictor) -> None:
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
    )

    @service.get("/metadata", responses=example(described))
    async def metadata() -> Metadata:
        """Shapes and types of input and output, with samples, and the model's name and sha256."""
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
