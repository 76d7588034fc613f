"""Assembly of prep: what callers send becomes pixels here, and the model server makes of them what is answered."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec
from fastapi import Request, Response
from prometheus_client import Histogram
from starlette.requests import ClientDisconnect

from mlsys.app import Service
from mlsys.cifar10 import LABELS
from mlsys.edge import CLIENT_GONE, remaining_s
from mlsys.openapi import example
from mlsys.picture import read_sample
from mlsys.remote import RemoteModel

from . import __doc__ as intent  # the pattern's one sentence
from . import describe
from .prep import Model, Prep
from .settings import Settings
from .upload import Decoder, Upload, require_known

ASK_S = 2.0
"""Seconds that the model server is given to say what it serves."""


def create_app(settings: Settings | None = None) -> Service:
    """The service. It answers nobody before the model server agrees. Raises: SettingsError, StartupError."""
    settings = settings or Settings()
    return assemble(settings, RemoteModel(settings.model_target, settings.model_name))


def assemble(settings: Settings, model: Model) -> Service:
    """The service in front of a model, wherever that is. Raises: StartupError."""
    service = Service(title="prep_pred_pattern", description=intent or "", settings=settings)
    prep = Prep(model, Decoder(settings.decode_threads, settings.max_pixels), seconds_by_step(service))

    async def model_agrees() -> None:
        await prep.agree(ASK_S)

    service.start_when("The model server", model_agrees, within_s=settings.model_wait_s)
    service.ready_when("model", model_agrees)
    add_description(service, prep, settings)
    add_predictions(service, prep)
    service.add_exception_handler(ClientDisconnect, _caller_gone)
    return service


def seconds_by_step(service: Service) -> Callable[[str], AbstractContextManager[object]]:
    """A metric of the seconds that each half takes: it says which of the two services lacks capacity."""
    steps = Histogram(
        "prep_step_seconds",
        "Time to decode a picture, and to have it predicted.",
        ["step"],
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        registry=service.metrics.registry,
    )
    return lambda step: steps.labels(step).time()


def add_description(service: Service, prep: Prep[Upload], settings: Settings) -> None:
    """The routes that say what the service takes and gives, and predict its sample."""
    sample = Upload("image/png", read_sample(settings.sample_path))
    pixel = Upload("application/json", msgspec.json.encode({"data": describe.PICTURE}))
    about = describe.metadata("cifar10_large", "0123456789ab", describe.PREDICTION)

    @service.get("/metadata", responses=example(about) | describe.refused(502))
    async def metadata() -> describe.Metadata:
        """Types of input and output, with samples, and the model's name and version."""
        declared = await prep.declared(remaining_s())
        prediction = await prep.predict(pixel, remaining_s)
        return describe.metadata(declared.name, declared.version, prediction.probabilities)

    @service.get("/label", responses=example(list(LABELS)))
    async def label() -> list[str]:
        """The classes, in the order of the probabilities."""
        return list(LABELS)

    @service.get("/predict/test", responses=example({"prediction": describe.PREDICTION}) | describe.refused(502))
    async def predict_test() -> describe.Probabilities:
        """Probabilities of the sample."""
        return {"prediction": (await prep.predict(sample, remaining_s)).probabilities}

    @service.get("/predict/test/label", responses=example({"prediction": "cat"}) | describe.refused(502))
    async def predict_test_label() -> describe.Label:
        """Class of the sample."""
        return {"prediction": (await prep.predict(sample, remaining_s)).label}


def add_predictions(service: Service, prep: Prep[Upload]) -> None:
    """The routes that predict what the caller sends: {"data": base64}, a form's field `file`, or a picture's bytes."""

    @service.post("/predict", **describe.upload(describe.PREDICTION))
    async def predict(request: Request) -> describe.Probabilities:
        """Probabilities of one picture."""
        return {"prediction": (await prep.predict(await _receive(request), remaining_s)).probabilities}

    @service.post("/predict/label", **describe.upload("cat"))
    async def predict_label(request: Request) -> describe.Label:
        """Class of one picture."""
        return {"prediction": (await prep.predict(await _receive(request), remaining_s)).label}


async def _receive(request: Request) -> Upload:
    content_type = request.headers.get("content-type", "")
    require_known(content_type)
    return Upload(content_type, await request.body())


async def _caller_gone(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)  # nobody reads it, but it is counted
