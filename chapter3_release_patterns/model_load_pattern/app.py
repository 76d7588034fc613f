"""Assembly: the Iris service, whose model comes from elsewhere and changes while it serves."""

from mlsys import iris
from mlsys.openapi import example

from . import describe, predictor
from .service import LoadedService
from .settings import Settings


def create_app(settings: Settings | None = None) -> LoadedService:
    """The service. It answers nobody before it has a model. Raises: SettingsError."""
    settings = settings or Settings()
    service = LoadedService(settings)
    add_description(service)
    add_predictions(service)
    return service


def add_description(service: LoadedService) -> None:
    """The routes that say what the service takes and gives, and which model it has."""
    labels = {str(index): name for index, name in enumerate(iris.LABELS)}
    described = describe.metadata(describe.PREDICTION, "iris_svc", "1.1.0-iris.0", describe.SHA256)

    @service.get("/metadata", responses=example(described))
    async def metadata() -> describe.Metadata:
        """Shapes and types of input and output, with samples, and name, release and sha256 of the model served now."""
        with service.swap.use() as served:
            sample = predictor.probabilities(served.model, iris.SAMPLE[0])
            return describe.metadata(sample, served.model.metadata.name, served.release, served.sha256)

    @service.get("/release", responses=example(describe.RELEASE))
    async def release() -> describe.Release:
        """The model of this worker, the one before it, the one that was refused, and how the source is."""
        with service.swap.use() as served:
            return describe.release(service.swap, served, service.report, service.source.shown)

    @service.get("/label", responses=example(labels))
    async def label() -> dict[str, str]:
        """The classes, in the order of the probabilities."""
        return labels


def add_predictions(service: LoadedService) -> None:
    """The routes that predict: the sample, and what the caller sends."""

    @service.get("/predict/test", responses=example({"prediction": describe.PREDICTION}))
    async def predict_test() -> iris.Probabilities:
        """Probabilities of the sample."""
        with service.model() as model:
            return {"prediction": predictor.probabilities(model, iris.SAMPLE[0])}

    @service.get("/predict/test/label", responses=example({"prediction": "setosa"}))
    async def predict_test_label() -> iris.Label:
        """Most probable class of the sample."""
        with service.model() as model:
            return {"prediction": predictor.label(model, iris.SAMPLE[0])}

    @service.fast_post("/predict")
    async def predict(flower: iris.Flower) -> iris.Probabilities:
        """Probabilities of one flower."""
        with service.model() as model:
            return {"prediction": predictor.probabilities(model, flower.data[0])}

    @service.fast_post("/predict/label")
    async def predict_label(flower: iris.Flower) -> iris.Label:
        """Most probable class of one flower."""
        with service.model() as model:
            return {"prediction": predictor.label(model, flower.data[0])}
