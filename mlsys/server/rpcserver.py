"""The gRPC side of the process: transport, caps, errors as status codes, health, reflection, and the end."""

import asyncio
import re
import socket
import time
from typing import Any

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry, Counter, Histogram

from .. import logs
from ..edge import new_request_id
from ..errors import InternalError, InvalidRequest, OverCapacity, ServiceError, StartupError
from .repository import Repository
from .rpc import SERVICE, Method, Methods
from .settings import Settings

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    503: grpc.StatusCode.UNAVAILABLE,  # not RESOURCE_EXHAUSTED: it is over at once, and clients retry this one
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
    500: grpc.StatusCode.INTERNAL,
}
Context = Any
"""A grpc.aio.ServicerContext."""
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PROBES = frozenset({"ServerLive", "ServerReady", "ModelReady"})
_TICK_S = 0.05
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,128}")


class RpcServer:
    """Started and stopped by the process, in its event loop."""

    def __init__(self, models: Repository, settings: Settings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._methods = Methods(models).by_name()
        self._metrics = RpcMetrics(registry)
        self._in_flight = 0
        self._log = structlog.get_logger("mlsys.server")

    async def start(self) -> None:
        """Listen on HOST and GRPC_PORT. Raises: StartupError if that cannot be."""
        settings = self._settings
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),  # else a second server would take half of the calls, silently
                ("grpc.max_receive_message_length", settings.max_body_bytes),
                ("grpc.max_send_message_length", -1),
            ],
            maximum_concurrent_rpcs=2 * settings.max_concurrency,  # then RESOURCE_EXHAUSTED, also for probes
        )
        handlers = {name: self._handler(name, method) for name, method in self._methods.items()}
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)])
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            [SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        for name in ("", SERVICE.full_name):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        require_free(settings.host, settings.grpc_port)  # gRPC would say it in its own way
        self._server.add_insecure_port(f"{host}:{settings.grpc_port}")
        await self._server.start()

    async def stop(self) -> None:
        """Refuse new calls, and give those that have begun the drain time."""
        await self._health.enter_graceful_shutdown()
        draining = asyncio.create_task(self._server.stop(self._settings.drain_timeout_s))
        while not (await asyncio.wait({draining}, timeout=_TICK_S))[0] and self._in_flight:
            pass
        await self._server.stop(0)  # what is left are streams that only their callers end: health, reflection

    def _handler(self, name: str, method: Method) -> grpc.RpcMethodHandler:
        request_class = GetMessageClass(SERVICE.methods_by_name[name].input_type)

        async def answer(content: bytes, context: Context) -> bytes:
            began = time.perf_counter()
            code, response = grpc.StatusCode.CANCELLED, b""
            trailer = [("x-request-id", _identify(context))]
            self._in_flight += 1
            try:
                self._require_capacity(name)
                response = await self._answer(request_class, method, content, context)
                code = grpc.StatusCode.OK
            except ServiceError as error:
                code = _CODES.get(error.status, grpc.StatusCode.INTERNAL)
                context.set_code(code)
                context.set_details(error.message)
                if code == grpc.StatusCode.UNAVAILABLE:
                    trailer.append(("grpc-retry-pushback-ms", "1000"))  # what Retry-After is in REST
            finally:
                self._in_flight -= 1
                context.set_trailing_metadata(trailer)
                self._record(name, code, time.perf_counter() - began)
            return response

        return grpc.unary_unary_rpc_method_handler(answer)

    def _require_capacity(self, name: str) -> None:
        if self._in_flight > self._settings.max_concurrency and name not in _PROBES:
            raise OverCapacity(f"The server is busy with {self._settings.max_concurrency} calls; try again.")

    async def _answer(self, request_class: type[Any], method: Method, content: bytes, context: Context) -> bytes:
        remaining_s = context.time_remaining()
        seconds = self._settings.request_timeout_s
        try:
            request = request_class.FromString(content)
            response = await method(request, seconds if remaining_s is None else min(seconds, remaining_s))
        except DecodeError as error:
            raise InvalidRequest(f"The message is not a {request_class.__name__}: {error}.") from None
        except ServiceError:
            raise
        except Exception as error:
            self._log.exception("unexpected error")
            raise InternalError from error
        return bytes(response.SerializeToString())

    def _record(self, name: str, code: grpc.StatusCode, seconds: float) -> None:
        self._metrics.observe(name, code.name, seconds)
        if self._settings.access_log:
            log = self._log.debug if name in _PROBES else self._log.info
            log("request", method=name, status=code.name, ms=round(seconds * 1000, 3))


def require_free(host: str, port: int) -> None:
    """Raises: StartupError if nothing can listen on this address."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StartupError(
                f"HOST={host} GRPC_PORT={port} cannot be listened on: {reason}; stop its owner or set another."
            ) from None


class RpcMetrics:
    """Calls by method and status code."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter("grpc_requests_total", "Calls answered.", ["method", "code"], registry=registry)
        self._seconds = Histogram(
            "grpc_request_duration_seconds", "Time of a call.", ["method"], buckets=SECONDS, registry=registry
        )
        self._children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, code: str, seconds: float) -> None:
        """Count one call that has been answered."""
        key = (method, code)
        if key not in self._children:
            self._children[key] = (self._calls.labels(method, code), self._seconds.labels(method))
        calls, duration = self._children[key]
        calls.inc()
        duration.observe(seconds)


def _identify(context: Context) -> str:
    """Take the caller's x-request-id, or make one, for the logs and for the answer."""
    found = next((str(value) for key, value in context.invocation_metadata() or () if key == "x-request-id"), "")
    request_id = found if _PRINTABLE.fullmatch(found) else new_request_id()
    logs.request_id.set(request_id)
    return request_id
