"""`python -m mlsys.server --models models/cifar10_large`: REST and gRPC in one process, until it is told to end."""

import argparse
import asyncio
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
import uvicorn

from .. import logs, serve, workers
from ..errors import StartupError
from .app import create_app
from .rpcserver import RpcServer, require_free
from .settings import Settings

_OPTIONS = {
    "models": "--models",
    "host": "--host",
    "port": "--http",
    "grpc_port": "--grpc",
    "workers": "--workers",
    "model_threads": "--threads",
    "max_batch": "--max-batch",
    "max_delay_ms": "--max-delay-ms",
    "max_queue": "--max-queue",
    "model_options": "--model-option",
}
_JOINED = {"models": ":", "model_options": " "}  # what takes several values, and what is between them


class Server(workers.Server):
    """The HTTP server, with the gRPC server beside it from its start to its end."""

    def __init__(self, config: uvicorn.Config, rpc: RpcServer) -> None:
        super().__init__(config)
        self._rpc = rpc

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Raises: StartupError if the gRPC port cannot be had."""
        await self._rpc.start()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse what is new at once on both sides, and finish what has begun."""
        await asyncio.gather(self._rpc.stop(), super().shutdown(sockets))


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve, or with --check only load the models. Exit code 3 and one sentence if it cannot start."""
    options = vars(_parser().parse_args(arguments))
    check = options.pop("check")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, serve.leave)
    try:
        settings = Settings(**_values(options))
        if check:
            create_app(settings)
        else:
            _serve(settings)
    except StartupError as error:
        workers.refuse(error)


def _values(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, in the form that the environment has."""
    given = {name: value for name, value in options.items() if value is not None}
    return given | {name: separator.join(given[name]) for name, separator in _JOINED.items() if name in given}


def _serve(settings: Settings) -> None:
    logs.configure(settings)
    listener = serve.bind(settings)
    require_free(settings.host, settings.grpc_port)  # before the models are loaded
    structlog.get_logger("mlsys.server").info(
        "starting", host=settings.host, port=settings.port, grpc_port=settings.grpc_port
    )
    service = create_app(settings)
    rpc = RpcServer(service.models, settings, service.metrics.registry)
    config = serve.configuration(settings.model_copy(update={"workers": 1}), service)  # the workers here are threads
    try:
        Server(config, rpc).run(sockets=[listener])
    finally:
        service.engine.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mlsys.server", description=__doc__)
    parser.add_argument("--check", action="store_true", help="load the models and open no port")
    for name, option in _OPTIONS.items():
        nargs = "+" if name in _JOINED else None
        about = f"{Settings.model_fields[name].description} ({name.upper()})"
        parser.add_argument(option, dest=name, nargs=nargs, metavar="VALUE", help=about)
    return parser


if __name__ == "__main__":
    main()
