"""How a service's process starts, stops and refuses to start: `python -m mlsys.serve [--check] package.module:factory`.

Locally, in Compose and in Kubernetes alike. The factory takes no arguments and returns an ASGI app.
"""

import argparse
import importlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Never

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from . import logs
from .errors import StartupError
from .parent import die_with_parent
from .settings import Settings
from .workers import Server, Supervisor, refuse

_BACKLOG = 2048  # uvicorn's own


def main() -> None:
    """Serve, or with --check only build the app. Exit code 3 and one sentence if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m mlsys.serve", description=__doc__)
    parser.add_argument("target", help="package.module:factory")
    parser.add_argument("--check", action="store_true", help="build the app (settings, model) and open no port")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    try:
        settings = Settings()
        if arguments.check:
            _build(arguments.target)
        else:
            _serve(settings, arguments.target)
    except StartupError as error:
        refuse(error)


def _serve(settings: Settings, target: str) -> None:
    logs.configure(settings)
    listener = bind(settings)
    structlog.get_logger("mlsys.serve").info("starting", host=settings.host, port=settings.port)
    if settings.workers == 1:
        Server(configuration(settings, _build(target))).run(sockets=[listener])
    else:
        _serve_by_workers(settings, target, listener)


def bind(settings: Settings) -> socket.socket:
    """A socket that listens on the settings' address. Raises: StartupError."""
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)  # at once: two that have only bound the same port would both go on
    except OSError as error:
        address = f"HOST={settings.host} PORT={settings.port}"
        reason = (error.strerror or str(error)).lower()
        raise StartupError(f"{address} cannot be listened on: {reason}; stop its owner or set another.") from None
    return listener


def _serve_by_workers(settings: Settings, target: str, listener: socket.socket) -> None:
    directory = tempfile.mkdtemp(prefix="metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory  # before a worker imports prometheus_client
    try:
        config = configuration(settings, partial(_build_in_worker, target, settings, os.getpid()), factory=True)
        supervisor = Supervisor(config, [listener])
        supervisor.run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if supervisor.failed_to_start:
        sys.exit(STARTUP_FAILURE)


def configuration(settings: Settings, app: Callable[..., object], *, factory: bool = False) -> uvicorn.Config:
    """How uvicorn serves an app, or what a factory makes."""
    return uvicorn.Config(
        app,
        factory=factory,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,  # the edge writes it
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_timeout_s,
    )


def _build_in_worker(target: str, settings: Settings, supervisor: int) -> Callable[..., object]:
    logs.configure(settings)
    die_with_parent(supervisor, signal.SIGTERM)
    try:
        return _build(target)
    except StartupError as error:
        refuse(error)


def _build(target: str) -> Callable[..., object]:
    module, _, factory = target.partition(":")
    try:
        build: Callable[[], Callable[..., object]] = getattr(importlib.import_module(module), factory)
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        raise StartupError(f"there is no {target} ({error}); name it as package.module:factory.") from error
    return build()


def leave(_: int, __: FrameType | None) -> Never:
    """The signal handler while nothing is served: end, and call it no failure."""
    sys.exit(0)  # also after uvicorn has drained: it raises the signal again that ended it


if __name__ == "__main__":
    main()
