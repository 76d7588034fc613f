"""What holds for every request, in one layer of plain ASGI: id, caps, time, error envelope, metrics, access log."""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, NamedTuple

import structlog

from . import envelope, logs
from .errors import DeadlineExceeded, InternalError, OverCapacity, PayloadTooLarge, RequestTimeout, ServiceError
from .metrics import Metrics
from .settings import Settings

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PROBES = frozenset({"/health", "/ready", "/metrics", "/v2/health/live", "/v2/health/ready"})
"""Answered also over capacity: an overloaded service is neither dead nor to be left unobserved."""
CLIENT_GONE = 499
"""Status under which a request is counted whose caller went away before the answer."""
_deadline: ContextVar[float] = ContextVar("deadline")
_CLOSE = (b"connection", b"close")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_PRINTABLE = re.compile(rb"[\x21-\x7e]{1,128}")


def remaining_s() -> float:
    """Seconds that the request which the current task answers still has; 0 when they are over.

    This is the timeout of every call that the answer depends on: nobody waits longer for it.
    Raises: LookupError outside of a request.
    """
    return max(0.0, _deadline.get() - time.perf_counter())


def new_request_id() -> str:
    """A random uuid."""
    return str(uuid.uuid4())


class Limits(NamedTuple):
    """The largest body in bytes, and the seconds that a request may take, its body included."""

    max_body_bytes: int
    timeout_s: float


class Edge:
    """Wraps an ASGI app; see the module's first line."""

    def __init__(self, app: App, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._limits = Limits(settings.max_body_bytes, settings.request_timeout_s)
        self._limits_under: dict[str, Limits] = {}
        self._metrics = metrics
        self._in_flight = 0
        self._log = structlog.get_logger("mlsys.edge")

    def allow(self, prefix: str, limits: Limits) -> None:
        """Give the paths that begin with `prefix` limits of their own; of several prefixes the first given counts."""
        self._limits_under[prefix] = limits

    def _limits_of(self, path: str) -> Limits:
        return next((own for prefix, own in self._limits_under.items() if path.startswith(prefix)), self._limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Errors that the app raises before it starts to answer are answered by the envelope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        limits = self._limits_of(scope["path"]) if self._limits_under else self._limits
        exchange = Exchange(scope, receive, send, limits)
        logs.request_id.set(exchange.request_id)
        logs.traceparent.set(exchange.traceparent)
        _deadline.set(began + limits.timeout_s)
        self._in_flight += 1
        self._metrics.in_flight.inc()
        try:
            await self._answer(scope, exchange)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.dec()
            self._record(scope, exchange, time.perf_counter() - began)

    async def _answer(self, scope: Scope, exchange: "Exchange") -> None:
        limit = asyncio.timeout(exchange.limits.timeout_s)
        try:
            exchange.check_declared_length()
            if self._in_flight > self._settings.max_concurrency and scope["path"] not in PROBES:
                raise OverCapacity(f"This worker is busy with {self._settings.max_concurrency} requests; try again.")
            async with limit:
                await self._app(scope, exchange.receive, exchange.send)
        except ServiceError as error:
            await exchange.fail(error)
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                if exchange.status:
                    self._log.warning("the answer had begun and was not finished in time", path=scope["path"])
                await exchange.fail(self._out_of_time(exchange))
                return
            self._log.exception("unexpected error", path=scope["path"])
            await exchange.fail(InternalError())

    def _out_of_time(self, exchange: "Exchange") -> ServiceError:
        seconds = exchange.limits.timeout_s
        if exchange.receiving:
            return RequestTimeout(f"The body did not arrive within {seconds:g} s.")
        return DeadlineExceeded(f"The answer was not ready within {seconds:g} s.")

    def _record(self, scope: Scope, exchange: "Exchange", seconds: float) -> None:
        status = exchange.status or CLIENT_GONE
        self._metrics.observe(scope["method"], _route(scope), status, seconds)
        if self._settings.access_log:
            log = self._log.debug if scope["path"] in PROBES else self._log.info
            log("request", method=scope["method"], path=scope["path"], status=status, ms=round(seconds * 1000, 3))


def _route(scope: Scope) -> str:
    """The template of the path for the metrics' label, which must not grow with what callers think of."""
    if "route" in scope:
        return str(scope["route"].path)
    static = "endpoint" in scope and not scope.get("path_params")
    return scope["path"] if static else "unmatched"


class Exchange:
    """One request and its answer: what has been received and sent so far. `status` is 0 until the answer starts."""

    __slots__ = (
        "_declared",
        "_endless",
        "_path",
        "_receive",
        "_received",
        "_send",
        "_whole",
        "limits",
        "receiving",
        "request_id",
        "status",
        "traceparent",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._receive = receive
        self._send = send
        self._path = scope["path"]
        self.limits = limits
        self._declared = b"0"
        self._endless = False  # the body's end is neither declared nor received yet
        self._received = 0
        self._whole = False
        self.receiving = False
        self.status = 0
        self.request_id = ""
        self.traceparent: str | None = None
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _PRINTABLE.fullmatch(value):
                self.request_id = value.decode()
            elif name == b"content-length":
                self._declared = value
            elif name == b"transfer-encoding":
                self._endless = True
            elif name == b"traceparent" and _TRACEPARENT.fullmatch(value):
                self.traceparent = value.decode()
        self.request_id = self.request_id or new_request_id()

    def check_declared_length(self) -> None:
        """Refuse a body that says it is too large, before any of it is read."""
        if int(self._declared) > self.limits.max_body_bytes:
            raise self._too_large(int(self._declared))

    async def receive(self) -> Message:
        """The server's `receive`, counting the body."""
        self.receiving = not self._whole  # after the whole body it waits for the caller to go away
        message = await self._receive()
        self.receiving = False
        if not message.get("more_body"):
            self._endless = False
            self._whole = True
        self._received += len(message.get("body", b""))
        if self._received > self.limits.max_body_bytes:
            raise self._too_large(self._received)
        return message

    async def send(self, message: Message) -> None:
        """The server's `send`, adding the request id to the headers.

        An answer before the end of a body without a declared length closes the connection: the server would go on
        reading, for as long as the caller sends.
        """
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = headers = [
                *message.get("headers", ()),
                (b"x-request-id", self.request_id.encode()),
            ]
            if self._endless and _CLOSE not in headers:
                headers.append(_CLOSE)
        await self._send(message)

    async def fail(self, error: ServiceError) -> None:
        """Answer with the error, or close the connection where part of another answer is already sent."""
        if self.status:
            return
        body, headers = envelope.render(error, self.request_id, self._path)
        await self.send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _too_large(self, size: int) -> PayloadTooLarge:
        return PayloadTooLarge(f"The body has at least {size} bytes; at most {self.limits.max_body_bytes} are taken.")
