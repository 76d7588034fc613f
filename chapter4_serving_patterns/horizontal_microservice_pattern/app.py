"""Assembly of the proxy: one request becomes one to each service, and their answers become one."""

import msgspec
from fastapi import Request, Response
from starlette.responses import StreamingResponse

from mlsys import iris
from mlsys.app import Service
from mlsys.endpoint import decode
from mlsys.errors import UnsupportedMediaType
from mlsys.openapi import example

from . import __doc__ as intent  # the pattern's one sentence
from . import describe
from .answers import Answers, label, predictions
from .branch import Missing
from .composition import Policy
from .services import Services
from .settings import Settings
from .stream import shown

_HEALTH_S = 0.5


def create_app(settings: Settings | None = None) -> Service:
    """The proxy. Raises: SettingsError."""
    settings = settings or Settings()
    service = Service(title="horizontal_microservice_pattern", description=intent or "", settings=settings)
    services = Services(settings)
    answers = Answers(settings, service.metrics.registry)
    service.while_serving(lambda: services.connected(lambda: service.stopping))
    add_health(service, services, answers.policies[""])
    add_tests(service, services, answers)
    add_predictions(service, services, answers)
    return service


def add_health(service: Service, services: Services, policy: Policy) -> None:
    """How the services are: each, and whether enough are there for an answer."""

    async def enough_are_there() -> str:
        found = await services.health.collect(None, policy._replace(waits=True), _HEALTH_S)
        missing = [name for name, outcome in found.items() if isinstance(outcome, Missing)]
        return f"without {', '.join(missing)}" if missing else "ok"

    service.ready_when("services", enough_are_there)

    @service.get("/health/all", responses=example(describe.HEALTH))
    async def health_all() -> Response:
        """What each service says of itself, or why it does not."""
        found = await services.health.collect(None, Policy(0, waits=True), _HEALTH_S)
        return as_json({name: shown(outcome) for name, outcome in found.items()})


def add_tests(service: Service, services: Services, answers: Answers) -> None:
    """The routes that predict the sample."""
    sample = msgspec.json.encode({"data": iris.SAMPLE})

    @service.get("/predict/get/test", responses=describe.composed(422, 502))
    async def predict_get_test(policy: describe.PolicyHeader = "") -> Response:
        """What each service answers to its own sample, asked by GET."""
        return as_json(predictions(await answers.collect(services.predict_test, sample, policy)))

    @service.get("/predict/post/test", responses=describe.composed(422, 502))
    async def predict_post_test(policy: describe.PolicyHeader = "") -> Response:
        """What each service answers to the sample, asked by POST."""
        return as_json(predictions(await answers.collect(services.predict, sample, policy)))


def add_predictions(service: Service, services: Services, answers: Answers) -> None:
    """The routes that predict one flower. It is checked here, so that no service is asked in vain."""
    flowers = msgspec.json.Decoder(iris.Flower)

    @service.fast_post("/predict", refuses=(502,))
    async def predict(flower: iris.Flower, *, policy: describe.PolicyText = "") -> describe.Predictions:
        """What each service answers to one flower."""
        return predictions(await answers.collect(services.predict, msgspec.json.encode(flower), policy))

    @service.fast_post("/predict/label", refuses=(502,))
    async def predict_label(flower: iris.Flower, *, policy: describe.PolicyText = "") -> describe.Label:
        """The species whose service gives the greatest probability, and which services this is without."""
        return label(await answers.collect(services.predict, msgspec.json.encode(flower), policy))

    @service.post(
        "/predict/stream", responses=describe.streamed(), openapi_extra=describe.BODY, response_class=StreamingResponse
    )
    async def predict_stream(request: Request, policy: describe.PolicyHeader = "") -> Response:
        """What each service answers to one flower, as events, each as soon as it is there."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaType("Content-Type must be application/json.")
        flower = decode(flowers, await request.body())
        return answers.stream(services.predict, msgspec.json.encode(flower), policy)


def as_json(answer: object) -> Response:
    """An answer of FastAPI's kind."""
    return Response(msgspec.json.encode(answer), media_type="application/json")
