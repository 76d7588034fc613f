"""The app factory: a FastAPI application that already has what every service must have."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import structlog
from fastapi import FastAPI, Response
from starlette.responses import JSONResponse

from . import envelope, metrics, openapi
from .edge import App, Edge, Limits, Message, Receive, Scope, Send
from .endpoint import Handler, JsonEndpoint
from .errors import MlsysError, NotReady, StartupError
from .settings import Settings

H = TypeVar("H", bound=Handler)
Check = Callable[[], Awaitable[str | None]]
Work = Callable[[], AbstractAsyncContextManager[object]]
_RETRY_S = 0.1


class Condition(NamedTuple):
    """What must hold before a service answers, and the seconds it is given."""

    check: Check
    within_s: float


class Mounted(NamedTuple):
    """An ASGI app under a path of its own, and what gives its OpenAPI paths."""

    app: App
    describe: Callable[[], dict[str, Any]]


class Service(FastAPI):
    """FastAPI, with /health, /ready, /metrics, the caps and the errors of mlsys.edge, and `fast_post`.

    `metrics` takes a pattern's own metrics. Routes of FastAPI's own kind are declared as usual.
    refusal: why the service did not start, if a condition of `start_when` did not come to hold.
    """

    refusal: StartupError | None = None
    stopping = False
    """Whether the process was told to stop. An answer that has no end of its own, as a stream of events, ends then."""

    def __init__(self, *, title: str, description: str, settings: Settings) -> None:
        super().__init__(
            title=title,
            description=description,
            lifespan=_lifespan,
            redirect_slashes=False,  # a redirect would go to whatever host the request names
            exception_handlers=dict.fromkeys(envelope.KINDS, envelope.answer),
        )
        self.metrics = metrics.Metrics()
        self._endpoints: dict[str, JsonEndpoint] = {}
        self._checks: dict[str, Check] = {}
        self._conditions: dict[str, Condition] = {}
        self._alongside: list[Work] = []
        self._under: dict[str, Mounted] = {}
        self._extended: dict[str, Any] | None = None
        self._edge = Edge(self._dispatch, settings, self.metrics)
        self._add_operation("/health", _health, openapi.example({"health": "ok"}))
        self._add_operation("/ready", self._ready, openapi.example({"model": "ok"}) | openapi.refusals(503))
        self._add_operation(
            "/metrics",
            self._render_metrics,
            openapi.example("http_requests_in_flight 1.0", metrics.CONTENT_TYPE),
            _MetricsResponse,
        )

    def fast_post(self, path: str, *, refuses: tuple[int, ...] = ()) -> Callable[[H], H]:
        """Declare `POST path` on the hot path; the decorated function is explained in mlsys.endpoint.JsonEndpoint."""

        def declare(handler: H) -> H:
            self._endpoints[path] = endpoint = JsonEndpoint(path, handler, refuses)
            self.add_route(path, endpoint, methods=["POST"], include_in_schema=False)  # type: ignore[arg-type]
            return handler

        return declare

    def serve_under(self, segment: str, app: App, describe: Callable[[], dict[str, Any]]) -> None:
        """Let the ASGI `app` answer every path that begins with `/segment`; `describe` gives its OpenAPI paths."""
        self._under[segment] = Mounted(app, describe)

    def allow(self, prefix: str, *, max_body_bytes: int, timeout_s: float) -> None:
        """Give the paths that begin with `prefix` a cap and a time of their own, as uploads and downloads need.

        A stop waits for a request of theirs no longer than for others, DRAIN_TIMEOUT_S.
        """
        self._edge.allow(prefix, Limits(max_body_bytes, timeout_s))

    def ready_when(self, name: str, check: Check) -> None:
        """Let /ready depend on `check`, which raises an MlsysError while what it looks at is not usable.

        What it returns stands in the answer, in place of "ok".
        """
        self._checks[name] = check

    def while_serving(self, work: Work) -> None:
        """Enter the context manager `work()` before the first request, and leave it after the last."""
        self._alongside.append(work)

    def start_when(self, name: str, check: Check, *, within_s: float) -> None:
        """Let the service answer nobody before `check`, called in the loop that serves, raises nothing.

        A StartupError ends the process at once; after another MlsysError the check is tried again for `within_s`
        seconds, and then ends it too. `mlsys.serve --check` does not ask: it may come before what is waited for.
        """
        self._conditions[name] = Condition(check, within_s)

    def stop(self) -> None:
        """Give up the start, or end what has no end of its own; safe in a signal handler."""
        self.stopping = True

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document of every route."""
        document = super().openapi()
        if document is not self._extended:  # FastAPI keeps it until the routes change
            openapi.extend(document, self._endpoints.values())
            for mounted in self._under.values():
                document["paths"] |= mounted.describe()
            self._extended = document
        return document

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection, through the edge."""

        async def without_trace(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and self.refusal:
                message["message"] = ""  # the server would log a trace; mlsys.serve says the sentence
            await send(message)

        await self._edge(scope, receive, without_trace if scope["type"] == "lifespan" else send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Routing by FastAPI costs more than a small model's inference; a dictionary finds the hot routes.
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._endpoints:
            await self._endpoints[scope["path"]](scope, receive, send)
        elif scope["type"] == "http" and (mounted := self._under.get(scope["path"][1:].partition("/")[0])):
            await mounted.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def _add_operation(
        self,
        path: str,
        endpoint: Callable[..., object],
        responses: dict[int | str, dict[str, Any]],
        response_class: type[Response] = JSONResponse,
    ) -> None:
        self.add_api_route(
            path, endpoint, name=path[1:], tags=["operation"], responses=responses, response_class=response_class
        )

    async def begin(self, serving: AsyncExitStack) -> None:
        """Wait for what `start_when` was given, then enter what `while_serving` was.

        Raises: StartupError, which is also kept as `refusal`.
        """
        try:
            for name, (check, within_s) in self._conditions.items():
                await self._wait_for(name, check, within_s)
            for work in self._alongside:
                await serving.enter_async_context(work())
        except StartupError as error:
            self.refusal = error
            raise

    async def _wait_for(self, name: str, check: Check, within_s: float) -> None:
        end = time.monotonic() + within_s
        waiting = False
        while reason := await _reason_against(check):
            if not waiting:
                structlog.get_logger("mlsys.app").info("waiting", condition=name, reason=reason)
                waiting = True
            if self.stopping or time.monotonic() > end:
                raise StartupError(f"{name} was not usable within {within_s:g} s: {reason}")
            await asyncio.sleep(_RETRY_S)

    async def _ready(self) -> dict[str, str]:
        """Whether this worker can do its work now."""
        found = {}
        for name, check in self._checks.items():
            try:
                found[name] = await check() or "ok"
            except MlsysError as error:
                raise NotReady(f"{name} is not ready: {error}") from error
        return found

    async def _render_metrics(self) -> Response:
        """Prometheus metrics of all workers."""
        return _MetricsResponse(self.metrics.render())


class _MetricsResponse(Response):
    media_type = metrics.CONTENT_TYPE


async def _reason_against(check: Check) -> str | None:
    """Why the check does not pass yet. Raises: StartupError if it never will."""
    try:
        await check()
    except StartupError:
        raise
    except MlsysError as error:
        return str(error)
    return None


@asynccontextmanager
async def _lifespan(app: Service) -> AsyncIterator[None]:
    log = structlog.get_logger("mlsys.app")
    async with AsyncExitStack() as serving:
        await app.begin(serving)
        log.info("started", service=app.title)
        yield
    log.info("stopped", service=app.title)


async def _health() -> dict[str, str]:
    """Whether this worker is alive."""
    return {"health": "ok"}
