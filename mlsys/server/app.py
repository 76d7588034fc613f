"""Assembly: the models, the threads that compute, and the service that answers over REST."""

from ..app import Service
from .batcher import Engine
from .repository import Repository
from .rest import mount
from .settings import Settings
from .statistics import Statistics


class ModelService(Service):
    """A service with the repository that it serves."""

    models: Repository
    engine: Engine


def create_app(settings: Settings | None = None) -> ModelService:
    """The service, with every model loaded and no port open. Raises: SettingsError, StartupError, ModelError."""
    settings = settings or Settings()
    service = ModelService(
        title="model_server", description="Models by the Open Inference Protocol.", settings=settings
    )
    service.engine = Engine(settings.workers)
    service.models = Repository(settings, Statistics(service.metrics.registry), service.engine)

    async def models_are_loaded() -> None:
        """They are: the service is not built before."""

    service.ready_when("models", models_are_loaded)
    mount(service, service.models)
    return service
