"""The Open Inference Protocol over REST: an ASGI app for everything under /v2, with nothing on the hot path but itself.

Source: kserve/open-inference-protocol (inference_rest.md); Triton's extensions: repository, configuration, statistics.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from ..app import Service
from ..edge import Message, Receive, Scope, Send
from ..errors import InvalidRequest, MethodNotAllowed, NotFound
from . import describe, facts, protocol
from .repository import Models, Repository

T = TypeVar("T")
Answer = tuple[bytes, list[tuple[bytes, bytes]]]
_NOTHING: Answer = (b"", [(b"content-length", b"0")])


class Call(NamedTuple):
    """One request: model and version are what its path names, empty where it names none."""

    model: str
    version: str
    scope: Scope
    receive: Receive


Handler = Callable[[Call], Awaitable[Answer | None]]


class Route(NamedTuple):
    """What answers a path. `path` is its template, for the metrics; an answer of None: the caller has gone."""

    path: str
    method: str
    handler: Handler


class IndexRequest(msgspec.Struct, frozen=True):
    """Body of the index: with `ready` only what is loaded is listed."""

    ready: bool = False


class LoadRequest(msgspec.Struct, frozen=True):
    """Body of load and unload."""

    parameters: dict[str, Any] = {}


_index_decoder = msgspec.json.Decoder(IndexRequest)
_load_decoder = msgspec.json.Decoder(LoadRequest)


def mount(service: Service, models: Models) -> None:
    """Let a service answer for these models under /v2."""
    service.serve_under("v2", Rest(models), lambda: describe.paths(models))


class Rest:
    """The app. Index, load and unload are there if `models` is a Repository."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._routes: dict[str, Route] = {}
        self._add("GET", "/v2", self._server)
        self._add("GET", "/v2/health/live", self._health)
        self._add("GET", "/v2/health/ready", self._health)
        for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            self._add("GET", model, self._metadata)
            self._add("GET", f"{model}/ready", self._ready)
            self._add("GET", f"{model}/config", self._configuration)
            self._add("POST", f"{model}/infer", self._infer)
        if isinstance(models, Repository):
            for model in ("/v2/models", "/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
                self._add("GET", f"{model}/stats", self._statistics)
            self._add("POST", "/v2/repository/index", self._index)
            self._add("POST", "/v2/repository/models/{model}/load", self._load)
            self._add("POST", "/v2/repository/models/{model}/unload", self._unload)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises: NotFound, MethodNotAllowed, InvalidRequest and what the models raise."""
        template, model, version = _split(scope["path"])
        route = self._routes.get(template)
        if route is None:
            raise NotFound(f"{scope['method']} {scope['path'][:200]}: Not Found.")
        scope["route"] = route
        if scope["method"] != route.method:
            message = f"{scope['method']} {scope['path'][:200]}: Method Not Allowed."
            raise MethodNotAllowed(message, allow=route.method)
        answer = await route.handler(Call(model, version, scope, receive))
        if answer:
            body, headers = answer
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def _add(self, method: str, path: str, handler: Handler) -> None:
        self._routes[path] = Route(path, method, handler)

    async def _infer(self, call: Call) -> Answer | None:
        self._models.get(call.model, call.version)  # else the body need not be read
        body = await _body(call.receive)
        if body is None:
            return None
        served = self._models.get(call.model, call.version)  # which may be another by now
        lengths = [value for name, value in call.scope["headers"] if name == protocol.HEADER_LENGTH]
        _refuse_encoding(call.scope)
        inference = protocol.decode(body, lengths, served.network)
        answering = served.infer(inference.feeds, inference.outputs, inference.timeout_s)
        arrays = await (_Watch(call.receive).over(answering) if served.batcher else answering)
        return None if arrays is None else protocol.encode(served.name, inference, arrays, served.network)

    async def _server(self, _: Call) -> Answer:
        return _json(facts.server(self._models))

    async def _health(self, _: Call) -> Answer:
        return _json(facts.HEALTH)

    async def _metadata(self, call: Call) -> Answer:
        return _json(facts.metadata(self._models.get(call.model, call.version)))

    async def _ready(self, call: Call) -> Answer:
        return _json({"name": self._models.get(call.model, call.version).name, "ready": True})

    async def _configuration(self, call: Call) -> Answer:
        return _json(facts.configuration(self._models.get(call.model, call.version)))

    async def _statistics(self, call: Call) -> Answer:
        served = [self._models.get(call.model, call.version)] if call.model else self._models
        return _json({"model_stats": [facts.statistics(one) for one in served]})

    async def _index(self, call: Call) -> Answer | None:
        body = await _body(call.receive)
        if body is None:
            return None
        request = protocol.read_json(_index_decoder, body) if body else IndexRequest()
        return _json([entry._asdict() for entry in self._repository.index(ready=request.ready)])

    async def _load(self, call: Call) -> Answer | None:
        body = await _body(call.receive)
        if body is None:
            return None
        request = protocol.read_json(_load_decoder, body) if body else LoadRequest()
        await self._repository.load(call.model, request.parameters)
        return _NOTHING

    async def _unload(self, call: Call) -> Answer | None:
        body = await _body(call.receive)
        if body is None:
            return None
        if body:
            protocol.read_json(_load_decoder, body)  # unload_dependents: nothing here depends on another model
        await self._repository.unload(call.model)
        return _NOTHING

    @property
    def _repository(self) -> Repository:
        if not isinstance(self._models, Repository):
            raise TypeError("only a Repository has these routes")
        return self._models


def _split(path: str) -> tuple[str, str, str]:
    """The path's template, model and version."""
    parts = path.split("/")
    at = {"models": 3, "repository": 4}.get(parts[2] if len(parts) > 2 else "", 0)
    model = version = ""
    if at and len(parts) > at and parts[at - 1] == "models" and parts[3:] != ["stats"]:
        model, parts[at] = parts[at], "{model}"
        if len(parts) > 5 and parts[4] == "versions" and parts[5]:
            version, parts[5] = parts[5], "{version}"
    return "/".join(parts), model, version


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None if the caller went away before it was whole."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class _Watch:
    """Cancels the task that makes an answer when the caller goes away, from PATIENCE_S on: a watch costs a task of its
    own, which most answers are too quick for.
    """

    PATIENCE_S = 0.05
    gone = False

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._answering = asyncio.current_task()
        self._waiting: asyncio.Future[Message] | None = None

    async def over(self, work: Awaitable[T]) -> T | None:
        """The result of the work, or None if the caller has gone."""
        timer = asyncio.get_running_loop().call_later(self.PATIENCE_S, self._begin)
        try:
            return await work
        except asyncio.CancelledError:
            if not self.gone or self._answering is None:
                raise
            self._answering.uncancel()
            return None
        finally:
            timer.cancel()
            if self._waiting:
                self._waiting.cancel()

    def _begin(self) -> None:
        self._waiting = asyncio.ensure_future(self._receive())
        self._waiting.add_done_callback(self._end)

    def _end(self, waiting: "asyncio.Future[Message]") -> None:
        if not waiting.cancelled() and self._answering:
            self.gone = True
            self._answering.cancel()


def _refuse_encoding(scope: Scope) -> None:
    for name, value in scope["headers"]:
        if name == b"content-encoding" and value.lower() != b"identity":
            raise InvalidRequest(f"Content-Encoding {value[:40].decode('latin-1')!r} is not offered: send it as it is.")


def _json(answer: object) -> Answer:
    body = msgspec.json.encode(answer)
    return body, [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
