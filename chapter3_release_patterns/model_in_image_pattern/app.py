"""Assembly: the image's own model, verified, and the routes of an Iris service."""

import structlog

from mlsys import iris
from mlsys.app import Service
from mlsys.iris_service import Description, IrisModel, add_routes, describe
from mlsys.model import Model
from mlsys.openapi import example
from mlsys.server.repository import Models, Served
from mlsys.server.rest import mount

from . import __doc__ as intent  # the pattern's one sentence
from . import identity
from .settings import Settings


class Metadata(Description):
    """What goes in, what comes out, which model answers, and which one the image was built with."""

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
    predictor = IrisModel(model)
    service = Service(title="model_in_image_pattern", description=intent or "", settings=settings)
    service.metrics.show_model(model.metadata.name, model.sha256)
    image = {"model_sha256": settings.model_sha256}

    async def say_which() -> None:
        structlog.get_logger(__name__).info("serving", model=model.metadata.name, sha256=model.sha256, image=image)

    async def model_answers() -> None:
        model.warm_up()

    service.start_when("model", say_which, within_s=1)  # in the log of the worker that serves, before it does
    service.ready_when("model", model_answers)
    add_routes(service, predictor)
    add_metadata(service, model, describe(predictor.probabilities(iris.SAMPLE[0])), image)
    mount(service, Models(Served(model.metadata.name, model.network)))  # /v2: batches, and clients of other servers
    return service


def add_metadata(service: Service, model: Model, described: Description, image: dict[str, str | None]) -> None:
    """The route that says what the service takes and gives, and which model it has."""
    about = Metadata(**described, model={"name": model.metadata.name, "sha256": model.sha256}, image=image)

    @service.get("/metadata", responses=example(about))
    async def metadata() -> Metadata:
        """Shapes and types of input and output, the model's name and sha256, and the image's (null without one)."""
        return about
