"""Assembly: the Iris service, whose model comes from elsewhere and changes while it serves."""

from mlsys import iris
from mlsys.iris_service import PREDICTION, IrisModel, add_routes
from mlsys.openapi import example

from . import describe
from .service import LoadedService
from .settings import Settings


class Current:
    """Answers by the model that serves at the moment; one request is answered by one model."""

    def __init__(self, service: LoadedService) -> None:
        self._service = service

    def probabilities(self, flower: list[float]) -> list[float]:
        """Probabilities [3] of one flower [4] in centimetres."""
        with self._service.model() as model:
            return IrisModel(model).probabilities(flower)

    def label(self, flower: list[float]) -> str:
        """The class of one flower [4] in centimetres."""
        with self._service.model() as model:
            return IrisModel(model).label(flower)


def create_app(settings: Settings | None = None) -> LoadedService:
    """The service. It answers nobody before it has a model. Raises: SettingsError."""
    settings = settings or Settings()
    service = LoadedService(settings)
    add_description(service)
    add_routes(service, Current(service))
    return service


def add_description(service: LoadedService) -> None:
    """The routes that say what the service takes and gives, and which model it has."""
    described = describe.metadata(PREDICTION, "iris_svc", "1.1.0-iris.0", describe.SHA256)

    @service.get("/metadata", responses=example(described))
    async def metadata() -> describe.Metadata:
        """Shapes and types of input and output, with samples, and name, release and sha256 of the model served now."""
        with service.swap.use() as served:
            sample = IrisModel(served.model).probabilities(iris.SAMPLE[0])
            return describe.metadata(sample, served.model.metadata.name, served.release, served.sha256)

    @service.get("/release", responses=example(describe.RELEASE))
    async def release() -> describe.Release:
        """The model of this worker, the one before it, the one that was refused, and how the source is."""
        with service.swap.use() as served:
            return describe.release(service.swap, served, service.report, service.source.shown)
